"""One participant of a room: sends a picture and a tone, consumes everything of the others."""

import asyncio
from dataclasses import dataclass, field

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from pymediasoup import AiortcHandler, Device
from pymediasoup.consumer import Consumer
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.producer import Producer
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters
from pymediasoup.transport import Transport

from signaling import RequestFailed, Signaling
from sinks import AudioSink, VideoSink


def to_json(model: object) -> dict:
    return model.model_dump(mode="json", exclude_none=True)


@dataclass
class Received:
    """A consumer and what came of it."""

    consumer: Consumer
    peer_id: str | None
    sink: VideoSink | AudioSink
    task: asyncio.Task = field(repr=False)


class Participant:
    def __init__(self, signaling: Signaling, room: str, name: str) -> None:
        self.peer_id: str | None = None
        self._signaling = signaling
        self._room = room
        self._name = name
        self._device = Device(handlerFactory=AiortcHandler.createFactory())
        self._send_transport: Transport | None = None
        self._recv_transport: Transport | None = None
        self._producers: list[Producer] = []
        self._received: dict[str, Received] = {}
        # What others send is consumed, and closed, in the order told: one negotiation at a time.
        self._changes: asyncio.Queue = asyncio.Queue()

    async def join(self) -> None:
        for event in ("newProducer", "producerClosed", "consumerClosed"):
            self._signaling.on(event, lambda told, event=event: self._changes.put_nowait((event, told)))
        answer = await self._signaling.ask("join", roomId=self._room, displayName=self._name)
        self.peer_id = answer["peerId"]
        await self._device.load(RtpCapabilities(**answer["routerRtpCapabilities"]))
        for peer in answer["peers"]:
            for producer in peer["producers"]:
                told = {"producerId": producer["id"], "peerId": peer["id"]}
                self._changes.put_nowait(("newProducer", told))

    async def send(self, tracks: list[MediaStreamTrack]) -> None:
        answer = await self._signaling.ask("createTransport", direction="send")
        self._send_transport = transport = self._device.createSendTransport(**transport_options(answer))
        self._connect_when_asked(transport)

        @transport.on("produce")
        async def on_produce(kind: str, parameters: RtpParameters, app_data: dict) -> str:
            request = {"kind": kind, "rtpParameters": to_json(parameters), "appData": app_data}
            return (await self._signaling.ask("produce", transportId=transport.id, **request))["id"]

        for track in tracks:
            self._producers.append(await transport.produce(track=track))

    async def receive(self) -> None:
        """Consumes what the others send, and what they will send. Ends only with an error."""
        answer = await self._signaling.ask("createTransport", direction="recv")
        self._recv_transport = self._device.createRecvTransport(**transport_options(answer))
        self._connect_when_asked(self._recv_transport)
        while True:
            event, told = await self._changes.get()
            if event == "newProducer":
                await self._consume(told["producerId"], told["peerId"])
            else:
                await self._close_consumers_of(event, told)

    async def close(self) -> None:
        for received in self._received.values():
            received.task.cancel()
        for transport in (self._send_transport, self._recv_transport):
            if transport:
                await transport.close()

    async def report(self) -> dict:
        """Counters so far of every stream."""
        transports = [it for it in (self._send_transport, self._recv_transport) if it]
        return {
            "transports": [transport_figures(it) for it in transports],
            "sending": [await sent_figures(it) for it in self._producers if not it.closed],
            "receiving": [await self._received_figures(it) for it in list(self._received.values())],
        }

    async def _received_figures(self, received: Received) -> dict:
        return received_figures(self._recv_transport, received) | await reported_figures(received)

    def _connect_when_asked(self, transport: Transport) -> None:
        @transport.on("connect")
        async def on_connect(parameters: DtlsParameters) -> None:
            fields = {"transportId": transport.id, "dtlsParameters": to_json(parameters)}
            await self._signaling.ask("connectTransport", **fields)

    async def _consume(self, producer_id: str, peer_id: str | None) -> None:
        transport = self._recv_transport
        capabilities = to_json(self._device.recvRtpCapabilities)
        try:
            answer = await self._signaling.ask(
                "consume", transportId=transport.id, producerId=producer_id, rtpCapabilities=capabilities
            )
        except RequestFailed as error:
            # Closed meanwhile; that will be told as well.
            if "not_found" in str(error):
                return
            raise
        consumer = await transport.consume(
            id=answer["id"],
            producerId=producer_id,
            kind=answer["kind"],
            rtpParameters=RtpParameters(**answer["rtpParameters"]),
        )
        sink = VideoSink() if consumer.kind == "video" else AudioSink()
        task = asyncio.create_task(drain(consumer.track, sink))
        self._received[consumer.id] = Received(consumer, peer_id, sink, task)
        await self._signaling.ask("resumeConsumer", consumerId=consumer.id)

    async def _close_consumers_of(self, event: str, told: dict) -> None:
        key = told.get("consumerId" if event == "consumerClosed" else "producerId")
        for received in list(self._received.values()):
            consumer = received.consumer
            if key in (consumer.id, consumer.producerId):
                del self._received[consumer.id]
                received.task.cancel()
                await consumer.close()


def transport_options(answer: dict) -> dict:
    return {
        "id": answer["id"],
        "iceParameters": IceParameters(**answer["iceParameters"]),
        "iceCandidates": [IceCandidate(**it) for it in answer["iceCandidates"]],
        "dtlsParameters": DtlsParameters(**answer["dtlsParameters"]),
        "sctpParameters": None,
        # None would have aiortc ask a public STUN server.
        "iceServers": [],
    }


def transport_figures(transport: Transport) -> dict:
    """How far a transport is, and what its handshake agreed on."""
    figures = {"direction": transport.direction, "ice": transport.handler.pc.iceConnectionState}
    transceivers = transport.handler.pc.getTransceivers()
    # Bundled: the first one's transport is that of all. aiortc keeps what was agreed on to itself.
    dtls = transceivers[0].sender.transport if transceivers else None
    if dtls and dtls.state == "connected":
        profile = dtls._ssl.get_selected_srtp_profile().decode()
        figures.update(dtls=dtls._ssl.get_protocol_version_name(), role=dtls._role, srtp=profile)
    return figures


async def drain(track: MediaStreamTrack, sink: VideoSink | AudioSink) -> None:
    try:
        while True:
            sink.take(await track.recv())
    except MediaStreamError:
        pass


async def sent_figures(producer: Producer) -> dict:
    """What was sent, and what the server's receiver reports say of it."""
    figures = {"producerId": producer.id, "kind": producer.kind}
    for entry in (await producer.rtpSender.getStats()).values():
        if entry.type == "outbound-rtp":
            figures["packets"] = entry.packetsSent
        elif entry.type == "remote-inbound-rtp":
            figures["packetsLost"] = entry.packetsLost
            figures["roundTripTime"] = entry.roundTripTime
    return figures


def received_figures(transport: Transport, received: Received) -> dict:
    consumer = received.consumer
    figures = {"producerId": consumer.producerId, "peerId": received.peer_id, "kind": consumer.kind}
    figures.update(received.sink.report())
    transceivers = transport.handler.pc.getTransceivers()
    receiver = next(it.receiver for it in transceivers if it.mid == consumer.localId)
    # getStats() gives the media's stream and that of its repairs the same id, and so only one of them.
    stream = receiver._RTCRtpReceiver__remote_streams.get(consumer.rtpParameters.encodings[0].ssrc)
    if stream:
        figures.update(packets=stream.packets_received, packetsLost=stream.packets_lost)
    return figures


async def reported_figures(received: Received) -> dict:
    """What the server's sender reports say."""
    for report in await received.consumer.getStats():
        for entry in report.values():
            if entry.type == "remote-outbound-rtp":
                return {"packetsSent": entry.packetsSent}
    return {}
