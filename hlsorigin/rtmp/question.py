"""What a client asked and our shell decides."""

from __future__ import annotations

from dataclasses import dataclass

from hlsorigin.rtmp.command import Command


@dataclass(slots=True)
class ConnectQuestion:
    """A ``connect``."""

    transaction_id: float
    #: The client told of enhanced RTMP.
    wants_capabilities: bool


@dataclass(slots=True)
class PublishQuestion:
    """A ``publish``; kept as long as the publish runs."""

    #: Verbatim, with its query.
    stream_key: str
    message_stream_id: int
    #: An FCPublish came before it: its answer comes with the decision.
    wants_fc_publish: bool

    def is_ended_by(self, command: Command, message_stream_id: int) -> bool:
        """Say whether FCUnpublish, deleteStream or closeStream means this publish.

        In doubt it does: encoders leave arguments out.

        Args:
            command: one of the three.
            message_stream_id: of the message that carried it.
        """
        match command.name:
            case "FCUnpublish":
                # Encoders leave the query out here, or keep it.
                key = command.text(0).partition("?")[0]
                return not key or key == self.stream_key.partition("?")[0]
            case "deleteStream":
                number = command.number(0)
                return number is None or number == self.message_stream_id
            case _:
                return message_stream_id in (0, self.message_stream_id)
