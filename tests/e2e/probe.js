// Tells the test, four times a second, how the page's videos are doing; carries out what it answers.
"use strict";
function describe(video, index) {
  const quality = video.getVideoPlaybackQuality();
  return {
    ...((window.reports || [])[index] || {}),
    currentTime: video.currentTime,
    frames: quality.totalVideoFrames,
    droppedFrames: quality.droppedVideoFrames,
    width: video.videoWidth,
    height: video.videoHeight,
    mediaError: video.error ? video.error.code + " " + video.error.message : "",
    audioBytes: video.webkitAudioDecodedByteCount || 0,
    text: document.body.innerText,
  };
}
setInterval(async () => {
  const body = JSON.stringify([...document.querySelectorAll("video")].map(describe));
  try {
    const answer = await (await fetch("/report", { method: "POST", body })).text();
    if (answer) window.obey(JSON.parse(answer));
  } catch { /* the test has ended */ }
}, 250);
