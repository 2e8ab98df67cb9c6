//! An engine that forwards nothing: it keeps objects and notes as the real one does, answers, and
//! says what the test wants it to say. It outlives connections, as the real one does.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use uuid::Uuid;
use weirgate_wire::{
    Answer, ConsumerStats, EngineInfo, Event, FrameDecoder, Histogram, IceState, LayerReason,
    Layers, ObjectKind, PROTOCOL_VERSION, ProducerStats, Refusal, RefusalKind, Request,
    ShardCounters, ShardInfo, SnapshotBody, SnapshotObject, SrtpKey, Stats, StreamStats, ToControl,
    ToEngine, TraceTypes, TransportStats, Tuple, encode,
};

pub(crate) struct FakeEngine {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

/// Picks requests.
type Which = fn(&Request) -> bool;

#[derive(Default)]
struct State {
    epoch: u64,
    next_port: u16,
    objects: Vec<SnapshotObject>,
    notes: BTreeMap<String, Vec<u8>>,
    /// Everything control sent but the greeting, in order.
    received: Vec<ToEngine>,
    refusal: Option<(Which, Refusal)>,
    to_control: Option<mpsc::UnboundedSender<ToControl>>,
    is_shut_down: bool,
}

impl FakeEngine {
    /// Listens on `socket`.
    pub(crate) fn start(socket: &Path, epoch: u64) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let state = Arc::new(Mutex::new(State {
            epoch,
            next_port: 20_000,
            ..State::default()
        }));
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self {
            socket: socket.to_owned(),
            state,
            serving,
        }
    }

    /// Dies with all it holds.
    pub(crate) async fn kill(mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        self.state.lock().unwrap().to_control = None;
        std::fs::remove_file(&self.socket).unwrap();
    }

    pub(crate) fn say(&self, event: Event) {
        let state = self.lock();
        let sender = state.to_control.as_ref().expect("control is connected");
        sender.send(ToControl::Event(event)).unwrap();
    }

    /// Refuses requests like these from now on.
    pub(crate) fn refuse(&self, which: Which, kind: RefusalKind) {
        self.refuse_saying(which, kind, "as the test wants");
    }

    pub(crate) fn refuse_saying(&self, which: Which, kind: RefusalKind, message: &str) {
        let message = message.to_owned();
        self.lock().refusal = Some((which, Refusal { kind, message }));
    }

    pub(crate) fn refuse_nothing(&self) {
        self.lock().refusal = None;
    }

    pub(crate) fn objects(&self) -> Vec<SnapshotObject> {
        self.lock().objects.clone()
    }

    pub(crate) fn object(&self, id: Uuid) -> Option<SnapshotObject> {
        let state = self.lock();
        state.objects.iter().find(|object| object.id == id).cloned()
    }

    pub(crate) fn notes(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().notes.clone()
    }

    pub(crate) fn put_note(&self, key: &str) {
        self.lock().notes.insert(key.to_owned(), Vec::new());
    }

    pub(crate) fn received(&self) -> Vec<ToEngine> {
        self.lock().received.clone()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let received = self.received().into_iter();
        let requests = received.filter_map(|message| match message {
            ToEngine::Request { body, .. } => Some(body),
            _ => None,
        });
        requests.collect()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().to_control.is_some()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.lock().is_shut_down
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // One control at a time, as with the real engine.
        connection(stream, &state).await;
        state.lock().unwrap().to_control = None;
    }
}

async fn connection(stream: UnixStream, state: &Mutex<State>) {
    let (mut reading, mut writing) = stream.into_split();
    let (sender, mut receiver) = mpsc::unbounded_channel::<ToControl>();
    let writer = async move {
        while let Some(message) = receiver.recv().await {
            let mut bytes = Vec::new();
            encode(&message, &mut bytes).unwrap();
            if writing.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let reader = async {
        let mut decoder = FrameDecoder::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reading.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => decoder.push(&buffer[..count]),
            }
            while let Some(message) = decoder.next_message::<ToEngine>().unwrap() {
                state.lock().unwrap().take(message, &sender);
            }
        }
    };
    tokio::select! {
        () = reader => {}
        () = writer => {}
    }
}

impl State {
    fn take(&mut self, message: ToEngine, to_control: &mpsc::UnboundedSender<ToControl>) {
        let say = |message| {
            let _ = to_control.send(message);
        };
        match message {
            ToEngine::Hello { version, .. } => {
                assert_eq!(version, PROTOCOL_VERSION);
                say(ToControl::Welcome {
                    version,
                    epoch: self.epoch,
                    pid: std::process::id(),
                });
            }
            ToEngine::Request { id, body } => {
                if body == Request::Snapshot {
                    for object in &self.objects {
                        say(ToControl::Object(object.clone()));
                    }
                    for (key, blob) in &self.notes {
                        say(ToControl::Note {
                            key: key.clone(),
                            blob: blob.clone(),
                        });
                    }
                    self.to_control = Some(to_control.clone());
                } else if body != Request::GetInfo {
                    let body = body.clone();
                    self.received.push(ToEngine::Request { id, body });
                }
                let body = self.refused(&body).unwrap_or_else(|| self.do_it(body));
                say(ToControl::Answer { id, body });
            }
            dtls @ ToEngine::SendDtls { .. } => self.received.push(dtls),
        }
    }

    fn refused(&self, request: &Request) -> Option<Result<Answer, Refusal>> {
        let (which, refusal) = self.refusal.as_ref()?;
        which(request).then(|| Err(refusal.clone()))
    }

    fn do_it(&mut self, request: Request) -> Result<Answer, Refusal> {
        match request {
            Request::CreateRouter { id, blob } => self.add(None, id, SnapshotBody::Router, blob),
            Request::CreateWebRtcTransport {
                id, router, blob, ..
            } => {
                let shard = (self.objects.len() % 2) as u16;
                let body = SnapshotBody::WebRtcTransport {
                    router,
                    shard,
                    ice_ufrag: format!("0{shard}{}", id.simple()),
                    ice_pwd: Uuid::new_v4().simple().to_string(),
                    ice_state: IceState::New,
                    tuple: None,
                    keyed: false,
                };
                self.add(Some(router), id, body, blob)?;
                self.addresses(id)
            }
            Request::CreatePlainTransport {
                id,
                router,
                listen_ip,
                port,
                rtcp_listen_ip,
                rtcp_port,
                rtcp_mux,
                blob,
                ..
            } => {
                let local = self.bind(listen_ip, port);
                let rtcp_local = (!rtcp_mux).then(|| self.bind(rtcp_listen_ip, rtcp_port));
                let body = SnapshotBody::PlainTransport {
                    router,
                    shard: 0,
                    local,
                    remote: None,
                    rtcp_local,
                    rtcp_remote: None,
                };
                self.add(Some(router), id, body, blob)?;
                self.addresses(id)
            }
            Request::CreateProducer {
                transport,
                config,
                blob,
            } => {
                let id = config.id;
                let body = SnapshotBody::Producer { transport, config };
                self.add(Some(transport), id, body, blob)
            }
            Request::CreateConsumer {
                transport,
                config,
                blob,
            } => {
                self.get(config.producer)?;
                let id = config.id;
                let body = SnapshotBody::Consumer { transport, config };
                self.add(Some(transport), id, body, blob)
            }
            Request::Close { id, .. } => self.close(id),
            Request::PutNote { key, blob } => {
                self.notes.insert(key, blob);
                Ok(Answer::Done)
            }
            Request::DeleteNote { key } => {
                self.notes.remove(&key);
                Ok(Answer::Done)
            }
            Request::Shutdown => {
                self.is_shut_down = true;
                Ok(Answer::Done)
            }
            Request::GetStats { kind, id } => self.stats(kind, id),
            Request::GetInfo => Ok(Answer::Info(info())),
            Request::GetCounters => Ok(Answer::Counters(counters())),
            Request::Snapshot => Ok(Answer::Done),
            other => self.change(other),
        }
    }

    /// Requests about an object that stands.
    fn change(&mut self, request: Request) -> Result<Answer, Refusal> {
        let (id, new_blob) = match &request {
            Request::ConnectPlain { id, blob, .. } | Request::SetBlob { id, blob, .. } => {
                (*id, Some(blob.clone()))
            }
            Request::RestartIce { id, blob }
            | Request::SetSrtpKeys { id, blob, .. }
            | Request::SetBitrates { id, blob, .. }
            | Request::SetPaused { id, blob, .. }
            | Request::SetPreferredLayers { id, blob, .. }
            | Request::SetPriority { id, blob, .. } => (*id, blob.clone()),
            Request::SetTrace { id, .. } => (*id, None),
            Request::RequestKeyFrame { consumer } => (*consumer, None),
            other => panic!("not about an object: {other:?}"),
        };
        let object = self.get_mut(id)?;
        if let Some(blob) = new_blob {
            object.blob = blob;
        }
        if let Request::SetTrace { types, .. } = &request {
            object.trace = *types;
        }
        apply(&mut object.body, &request);
        match request {
            Request::ConnectPlain { .. } | Request::RestartIce { .. } => self.addresses(id),
            _ => Ok(Answer::Done),
        }
    }

    fn add(
        &mut self,
        parent: Option<Uuid>,
        id: Uuid,
        body: SnapshotBody,
        blob: Vec<u8>,
    ) -> Result<Answer, Refusal> {
        if let Some(parent) = parent {
            self.get(parent)?;
        }
        if self.get(id).is_ok() {
            return Err(refusal(RefusalKind::Conflict, id));
        }
        self.objects.push(SnapshotObject {
            id,
            body,
            trace: TraceTypes::NONE,
            blob,
        });
        Ok(Answer::Done)
    }

    fn close(&mut self, id: Uuid) -> Result<Answer, Refusal> {
        self.get(id)?;
        let mut gone = vec![id];
        // Parents come before children, so one pass finds all.
        for object in &self.objects {
            let parents: Vec<Uuid> = match &object.body {
                SnapshotBody::Router => vec![],
                SnapshotBody::WebRtcTransport { router, .. }
                | SnapshotBody::PlainTransport { router, .. } => vec![*router],
                SnapshotBody::Producer { transport, .. } => vec![*transport],
                SnapshotBody::Consumer { transport, config } => vec![*transport, config.producer],
            };
            if parents.iter().any(|parent| gone.contains(parent)) {
                gone.push(object.id);
            }
        }
        self.objects.retain(|object| !gone.contains(&object.id));
        Ok(Answer::Done)
    }

    fn stats(&self, kind: ObjectKind, id: Uuid) -> Result<Answer, Refusal> {
        let object = self.get(id)?;
        let stream = |ssrc, rtx_ssrc, rid| StreamStats {
            ssrc,
            rtx_ssrc,
            rid,
            packet_count: 17,
            round_trip_time_ms: Some(25.0),
            score: 10,
            bitrate_by_layer: vec![(0, 1, 1_000)],
            ..StreamStats::default()
        };
        Ok(Answer::Stats(match (&object.body, kind) {
            (SnapshotBody::Producer { config, .. }, ObjectKind::Producer) => {
                let encodings = config.encodings.iter();
                let streams = encodings
                    .map(|it| stream(it.ssrc.unwrap_or(0), it.rtx_ssrc, it.rid.clone()))
                    .collect();
                Stats::Producer(config.kind, ProducerStats { streams })
            }
            (SnapshotBody::Consumer { config, .. }, ObjectKind::Consumer) => {
                let SnapshotBody::Producer { config: source, .. } =
                    &self.get(config.producer)?.body
                else {
                    panic!("a consumer's producer is none");
                };
                let stats = ConsumerStats {
                    stream: stream(config.ssrc, config.rtx_ssrc, None),
                    current_layers: None,
                    target_layers: Some(Layers {
                        spatial: 1,
                        temporal: 0,
                    }),
                    layer_reason: LayerReason::Preferred,
                    producer_score: 10,
                };
                Stats::Consumer(source.kind, stats)
            }
            (_, ObjectKind::Transport) => Stats::Transport(TransportStats {
                bytes_sent: 4711,
                tuple: Some(Tuple {
                    local: SocketAddr::from(([127, 0, 0, 1], 1)),
                    remote: SocketAddr::from(([127, 0, 0, 1], 2)),
                }),
                packet_loss_received: Some(0.01),
                packet_loss_sent: Some(0.02),
                round_trip_time_ms: Some(25.0),
                available_outgoing_bitrate_bps: Some(600_000),
                available_incoming_bitrate_bps: Some(500_000),
                ..TransportStats::default()
            }),
            (body, kind) => panic!("{kind:?} of {body:?}"),
        }))
    }

    fn addresses(&self, id: Uuid) -> Result<Answer, Refusal> {
        Ok(match &self.get(id)?.body {
            SnapshotBody::WebRtcTransport {
                shard,
                ice_ufrag,
                ice_pwd,
                ..
            } => Answer::WebRtcTransport {
                shard: *shard,
                ice_ufrag: ice_ufrag.clone(),
                ice_pwd: ice_pwd.clone(),
            },
            SnapshotBody::PlainTransport {
                shard,
                local,
                remote,
                rtcp_local,
                rtcp_remote,
                ..
            } => Answer::PlainTransport {
                shard: *shard,
                local: *local,
                remote: *remote,
                rtcp_local: *rtcp_local,
                rtcp_remote: *rtcp_remote,
            },
            other => panic!("no transport: {other:?}"),
        })
    }

    fn bind(&mut self, ip: IpAddr, port: Option<u16>) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::new(ip, port.unwrap_or(self.next_port))
    }

    fn get(&self, id: Uuid) -> Result<&SnapshotObject, Refusal> {
        let found = self.objects.iter().find(|object| object.id == id);
        found.ok_or_else(|| refusal(RefusalKind::NotFound, id))
    }

    fn get_mut(&mut self, id: Uuid) -> Result<&mut SnapshotObject, Refusal> {
        let found = self.objects.iter_mut().find(|object| object.id == id);
        found.ok_or_else(|| refusal(RefusalKind::NotFound, id))
    }
}

fn apply(body: &mut SnapshotBody, request: &Request) {
    match (body, request) {
        (
            SnapshotBody::WebRtcTransport { keyed, .. },
            Request::SetSrtpKeys { send, receive, .. },
        ) => {
            assert_ne!(send, receive);
            let fits = |key: &SrtpKey| SrtpKey::new(key.suite, key.key_and_salt.clone()).is_some();
            assert!(fits(send) && fits(receive));
            *keyed = true;
        }
        (
            SnapshotBody::WebRtcTransport {
                shard,
                ice_ufrag,
                ice_pwd,
                ..
            },
            Request::RestartIce { .. },
        ) => {
            *ice_ufrag = format!("0{shard}{}", Uuid::new_v4().simple());
            *ice_pwd = Uuid::new_v4().simple().to_string();
        }
        (
            SnapshotBody::PlainTransport {
                remote,
                rtcp_remote,
                ..
            },
            Request::ConnectPlain {
                remote: given,
                rtcp_remote: rtcp_given,
                ..
            },
        ) => {
            *remote = *given;
            *rtcp_remote = *rtcp_given;
        }
        (SnapshotBody::Producer { config, .. }, Request::SetPaused { paused, .. }) => {
            config.paused = *paused;
        }
        (SnapshotBody::Consumer { config, .. }, Request::SetPaused { paused, .. }) => {
            config.paused = *paused;
        }
        (SnapshotBody::Consumer { config, .. }, Request::SetPriority { priority, .. }) => {
            config.priority = *priority;
        }
        (SnapshotBody::Consumer { config, .. }, Request::SetPreferredLayers { layers, .. }) => {
            config.preferred_layers = *layers;
        }
        _ => {}
    }
}

fn refusal(kind: RefusalKind, id: Uuid) -> Refusal {
    Refusal {
        kind,
        message: format!("{kind:?} {id}"),
    }
}

fn info() -> EngineInfo {
    EngineInfo {
        pid: std::process::id(),
        version: "0".to_owned(),
        io: "fake".to_owned(),
        io_reason: "a test".to_owned(),
        media_listen: vec![SocketAddr::from(([127, 0, 0, 1], 10_000))],
        plain_ports: (20_000, 21_000),
        shards: vec![ShardInfo::default(), ShardInfo::default()],
        ..EngineInfo::default()
    }
}

fn counters() -> Vec<ShardCounters> {
    let shard = |value| ShardCounters {
        counters: vec![("rtp_packets_received".to_owned(), value)],
        gauges: vec![("transports".to_owned(), value)],
        histograms: vec![Histogram {
            name: "train_datagrams".to_owned(),
            buckets: vec![(1, value), (2, 0), (4, 2 * value)],
            sum: 9 * value,
        }],
    };
    vec![shard(1), shard(2), ShardCounters::default()]
}
