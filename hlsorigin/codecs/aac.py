"""AAC: AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) and ADTS headers (1.A.3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.wire.bits import BitReader, BitWriter

ADTS_HEADER_BYTES: Final = 7
#: aac_frame_length has 13 bits and counts the header.
MAX_ADTS_FRAME_BYTES: Final = 8191
#: The largest real one, with a program config element and its comment, stays under 400.
MAX_ASC_BYTES: Final = 1024

#: samplingFrequencyIndex (14496-3 table 1.18).
SAMPLE_RATES: Final = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)
#: Channels by channelConfiguration (14496-3 table 1.19 and amendments); 0 asks for a PCE.
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}

_AOT_LC: Final = 2
_AOT_LTP: Final = 4
_AOT_SBR: Final = 5
_AOT_ER_BSAC: Final = 22
_AOT_ER_LD: Final = 23
_AOT_PS: Final = 29
#: Object types whose configuration is a GASpecificConfig (14496-3 table 1.15).
_GENERAL_AUDIO: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_SCALABLE: Final = (6, 20)
_ERROR_RESILIENT: Final = (17, 19, 20, 23)
_SYNC_SBR: Final = 0x2B7
_SYNC_PS: Final = 0x548
_EXPLICIT_RATE: Final = 15
_FULLNESS_VBR: Final = 0x7FF


@dataclass(frozen=True, slots=True)
class AacConfig:
    """An AAC track. Two are equal when their AudioSpecificConfig bytes are."""

    #: AudioSpecificConfig as it came.
    asc: bytes
    #: Object type of the core stream, 2 for LC; never 5 or 29.
    audio_object_type: int = field(compare=False)
    #: Hz, before SBR doubles it.
    core_sample_rate: int = field(compare=False)
    #: Hz, as it leaves the decoder.
    sample_rate: int = field(compare=False)
    #: As they leave the decoder: 2 for mono with parametric stereo.
    channels: int = field(compare=False)
    #: channelConfiguration; 0 when a program config element describes the channels.
    channel_configuration: int = field(compare=False)
    #: SBR is signalled: HE-AAC.
    has_sbr: bool = field(compare=False)
    #: Parametric stereo is signalled: HE-AAC v2.
    has_ps: bool = field(compare=False)
    #: At ``core_sample_rate``: 1024 or 960; low delay 512 or 480.
    samples_per_frame: int = field(compare=False)
    # The constant bits of the ADTS header, as one number; the length is or-ed in per frame.
    _adts: int = field(default=0, compare=False, repr=False)

    @classmethod
    def parse(cls, asc: bytes) -> AacConfig:
        """Read an AudioSpecificConfig. Bytes behind it are tolerated.

        Raises:
            Truncated: it ends too early.
            CodecError: reserved value, or longer than ``MAX_ASC_BYTES``.
            Unsupported: an object type other than the AAC family with GASpecificConfig.
        """
        if len(asc) > MAX_ASC_BYTES:
            raise CodecError(f"AudioSpecificConfig of {len(asc)} bytes")
        config = _parse_asc(asc)
        return replace(config, _adts=_adts_template(config))

    @property
    def codec_string(self) -> str:
        """RFC 6381 name: ``mp4a.40.2``, ``.5`` with SBR, ``.29`` with parametric stereo."""
        if self.has_ps:
            return f"mp4a.40.{_AOT_PS}"
        return f"mp4a.40.{_AOT_SBR if self.has_sbr else self.audio_object_type}"

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that ``samples_per_frame`` counts: the core's."""
        return self.core_sample_rate

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA (RFC 8216bis 4.4.6.1)."""
        return str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a frame at ``clock_rate_hz``: always ``samples_per_frame``."""
        return self.samples_per_frame

    def check_adts(self) -> None:
        """Make sure that ADTS, and with it MPEG-TS, can carry this stream.

        Raises:
            Unsupported: the message says what ADTS has no bits for.
        """
        if self.audio_object_type > _AOT_LTP:
            raise Unsupported(f"AAC object type {self.audio_object_type} does not fit in MPEG-TS")
        if self.core_sample_rate not in SAMPLE_RATES:
            raise Unsupported(f"AAC sample rate {self.core_sample_rate} Hz does not fit in MPEG-TS")
        if not 1 <= self.channel_configuration <= 7:
            raise Unsupported(
                f"AAC channel configuration {self.channel_configuration} does not fit in MPEG-TS"
            )
        if self.samples_per_frame != 1024:
            raise Unsupported(
                f"AAC frames of {self.samples_per_frame} samples don't fit in MPEG-TS"
            )

    def adts_header(self, frame_bytes: int) -> bytes:
        """Make the ADTS header for a raw frame of ``frame_bytes`` bytes.

        HE-AAC gets the core profile and core rate; decoders find SBR in the frames. Meaningful
        only when ``check_adts`` raises nothing.

        Raises:
            CodecError: the frame is too long for the 13-bit length.
        """
        total = frame_bytes + ADTS_HEADER_BYTES
        if total > MAX_ADTS_FRAME_BYTES:
            raise CodecError(f"AAC frame of {frame_bytes} bytes")
        return (self._adts | total << 13).to_bytes(ADTS_HEADER_BYTES, "big")


@dataclass(frozen=True, slots=True)
class AdtsHeader:
    """The header of one ADTS frame."""

    #: The AudioSpecificConfig that says the same, 2 bytes.
    asc: bytes
    #: 7, or 9 with a CRC.
    header_bytes: int
    #: Length of the frame with its header.
    frame_bytes: int


def parse_adts_header(data: bytes, start: int = 0) -> AdtsHeader:
    """Read the ADTS header at ``start`` (ISO/IEC 14496-3 1.A.3.2).

    Raises:
        Truncated: fewer than 7 bytes.
        CodecError: no syncword, reserved rate, impossible length, or several raw data blocks in
            one frame, which can't be taken apart without decoding.
    """
    header = data[start : start + ADTS_HEADER_BYTES]
    if len(header) < ADTS_HEADER_BYTES:
        raise Truncated(ADTS_HEADER_BYTES, len(header), "ADTS header")
    # Syncword 0xFFF and layer 0; the ID and protection_absent bits may be either.
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        raise CodecError("no ADTS syncword")
    header_bytes = ADTS_HEADER_BYTES if header[1] & 1 else ADTS_HEADER_BYTES + 2
    profile, rate_index = header[2] >> 6, header[2] >> 2 & 15
    channel_configuration = (header[2] & 1) << 2 | header[3] >> 6
    frame_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate_index >= len(SAMPLE_RATES) or frame_bytes < header_bytes or header[6] & 3:
        raise CodecError(f"implausible ADTS header {header.hex()}")
    asc = BitWriter().u(5, profile + 1).u(4, rate_index).u(4, channel_configuration).u(3, 0)
    return AdtsHeader(bytes(asc), header_bytes, frame_bytes)


def _parse_asc(asc: bytes) -> AacConfig:
    bits = BitReader(asc)
    object_type = _read_object_type(bits)
    core_rate = _read_sample_rate(bits)
    channel_configuration = bits.u(4, "channelConfiguration")
    has_sbr = object_type in (_AOT_SBR, _AOT_PS)
    has_ps = object_type == _AOT_PS
    output_rate = core_rate
    if has_sbr:
        output_rate = _read_sample_rate(bits)
        object_type = _read_object_type(bits)
        if object_type == _AOT_ER_BSAC:
            bits.u(4, "extensionChannelConfiguration")
    if object_type not in _GENERAL_AUDIO:
        raise Unsupported(f"MPEG-4 audio object type {object_type}")
    samples, channels = _read_general_audio(bits, object_type, channel_configuration)
    if not has_sbr:
        has_sbr, has_ps, output_rate = _read_sync_extension(bits, core_rate)
    return AacConfig(
        asc=asc,
        audio_object_type=object_type,
        core_sample_rate=core_rate,
        sample_rate=output_rate,
        channels=2 if has_ps and channels == 1 else channels,
        channel_configuration=channel_configuration,
        has_sbr=has_sbr,
        has_ps=has_ps,
        samples_per_frame=samples,
    )


def _read_object_type(bits: BitReader) -> int:
    object_type = bits.u(5, "audioObjectType")
    return 32 + bits.u(6, "audioObjectTypeExt") if object_type == 31 else object_type


def _read_sample_rate(bits: BitReader) -> int:
    index = bits.u(4, "samplingFrequencyIndex")
    if index == _EXPLICIT_RATE:
        rate = bits.u(24, "samplingFrequency")
        if not 1_000 <= rate <= 768_000:
            raise CodecError(f"AAC sample rate of {rate} Hz")
        return rate
    if index >= len(SAMPLE_RATES):
        raise CodecError(f"reserved samplingFrequencyIndex {index}")
    return SAMPLE_RATES[index]


def _read_general_audio(
    bits: BitReader, object_type: int, channel_configuration: int
) -> tuple[int, int]:
    """Read GASpecificConfig (14496-3 4.4.1): samples per frame and channels."""
    is_short = bits.flag("frameLengthFlag")
    if bits.flag("dependsOnCoreCoder"):
        bits.u(14, "coreCoderDelay")
    has_extension = bits.flag("extensionFlag")
    if channel_configuration == 0:
        channels = _read_program_config_channels(bits)
    elif channel_configuration in _CHANNELS:
        channels = _CHANNELS[channel_configuration]
    else:
        raise CodecError(f"reserved channelConfiguration {channel_configuration}")
    if object_type in _SCALABLE:
        bits.u(3, "layerNr")
    if has_extension:
        if object_type == _AOT_ER_BSAC:
            bits.u(16, "numOfSubFrame, layer_length")
        elif object_type in _ERROR_RESILIENT:
            bits.u(3, "resilience flags")
        bits.u(1, "extensionFlag3")
    if object_type >= _ERROR_RESILIENT[0]:
        bits.u(2, "epConfig")
    samples = 960 if is_short else 1024
    return (samples // 2 if object_type == _AOT_ER_LD else samples), channels


def _read_program_config_channels(bits: BitReader) -> int:
    """Read a program_config_element (14496-3 table 4.2) for its number of channels."""
    bits.u(4 + 2 + 4, "element_instance_tag, object_type, sampling_frequency_index")
    front, side, back = (bits.u(4, "num_channel_elements") for _ in range(3))
    lfe, associated, coupling = bits.u(2), bits.u(3), bits.u(4)
    for mixdown_bits in (4, 4, 3):
        if bits.flag("mixdown_present"):
            bits.u(mixdown_bits, "mixdown")
    channels = lfe
    for _ in range(front + side + back):
        channels += 2 if bits.flag("element_is_cpe") else 1
        bits.u(4, "element_tag_select")
    bits.u(4 * lfe + 4 * associated + 5 * coupling, "element tags")
    bits.u(-bits.position % 8, "byte_alignment")
    bits.u(8 * bits.u(8, "comment_field_bytes"), "comment_field")
    if channels == 0:
        raise CodecError("program config element without channels")
    return channels


def _read_sync_extension(bits: BitReader, core_rate: int) -> tuple[bool, bool, int]:
    """Read the backward compatible signalling (14496-3 1.6.5.3): SBR, PS, output rate.

    What is damaged here counts as absent: the core stream plays without it.
    """
    try:
        if bits.remaining < 16 or bits.u(11) != _SYNC_SBR or _read_object_type(bits) != _AOT_SBR:
            return False, False, core_rate
        if not bits.flag("sbrPresentFlag"):
            return False, False, core_rate
        output_rate = _read_sample_rate(bits)
    except (CodecError, Truncated):
        return False, False, core_rate
    has_ps = bits.remaining >= 12 and bits.u(11) == _SYNC_PS and bits.flag("psPresentFlag")
    return True, has_ps, output_rate


def _adts_template(config: AacConfig) -> int:
    try:
        config.check_adts()
    except Unsupported:
        return 0
    header = BitWriter()
    header.u(12, 0xFFF).u(1, 0).u(2, 0).u(1, 1)  # syncword, MPEG-4, layer, protection_absent
    header.u(2, config.audio_object_type - 1)
    header.u(4, SAMPLE_RATES.index(config.core_sample_rate))
    header.u(1, 0).u(3, config.channel_configuration)
    header.u(4, 0).u(13, 0)  # original/copy, home, copyright id; aac_frame_length
    header.u(11, _FULLNESS_VBR).u(2, 0)  # number_of_raw_data_blocks_in_frame: 1
    return int.from_bytes(bytes(header), "big")
