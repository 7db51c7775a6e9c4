// Tells the test, four times a second, how the page's first video is doing.
"use strict";
setInterval(() => {
  const video = document.querySelector("video");
  const quality = video.getVideoPlaybackQuality();
  fetch("/report", {
    method: "POST",
    body: JSON.stringify({
      ...(window.report || {}),
      currentTime: video.currentTime,
      frames: quality.totalVideoFrames,
      droppedFrames: quality.droppedVideoFrames,
      width: video.videoWidth,
      height: video.videoHeight,
      mediaError: video.error ? video.error.code + " " + video.error.message : "",
      audioBytes: video.webkitAudioDecodedByteCount || 0,
      text: document.body.innerText,
    }),
  }).catch(() => {});
}, 250);
