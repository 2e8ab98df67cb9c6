//! One connection to the engine: greeting, snapshot, then messages until it ends.

use std::{collections::VecDeque, io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::timeout,
};
use weirgate_wire::{
    Answer, EngineInfo, Event, FrameDecoder, FrameError, PROTOCOL_VERSION, Request, SnapshotObject,
    ToControl, ToEngine, encode,
};

use super::EngineLink;

/// An engine that takes longer to greet is stuck.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages joined into one write.
const MAX_WRITE_BATCH: usize = 256;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("no engine listens on the socket")]
    NoEngine,
    /// The socket cannot be used.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The engine does not want us.
    #[error("the engine refused the connection: {0}")]
    Refused(String),
    /// Somebody who speaks something else.
    #[error("what listens on the socket does not speak this engine's protocol: {0}")]
    Protocol(String),
}

impl From<FrameError> for ConnectError {
    fn from(error: FrameError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Everything the engine holds, as it was when the connection was made.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Parents before children.
    pub objects: Vec<SnapshotObject>,
    /// Key and bytes.
    pub notes: Vec<(String, Vec<u8>)>,
}

/// A connection whose greeting is done and whose events nobody has looked at.
pub struct Connection {
    /// Random, one per engine process.
    pub epoch: u64,
    /// The engine's process id.
    pub pid: u32,
    /// What the engine holds.
    pub snapshot: Snapshot,
    /// What the engine is.
    pub info: EngineInfo,
    reader: Reader,
    writer: OwnedWriteHalf,
    early_events: VecDeque<Event>,
}

impl Connection {
    /// Connects to the engine behind `socket` and takes its snapshot.
    ///
    /// # Errors
    /// [`ConnectError::NoEngine`] where none runs there.
    pub async fn open(socket: &Path) -> Result<Self, ConnectError> {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Err(ConnectError::NoEngine);
            }
            Err(error) => return Err(error.into()),
        };
        match timeout(GREETING_TIMEOUT, Self::greet(stream)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Protocol("no greeting in 5 s".to_owned())),
        }
    }

    async fn greet(stream: UnixStream) -> Result<Self, ConnectError> {
        let (read_half, mut writer) = stream.into_split();
        let mut reader = Reader::new(read_half);
        let mut bytes = Vec::new();
        let hello = ToEngine::Hello {
            version: PROTOCOL_VERSION,
            pid: std::process::id(),
        };
        encode(&hello, &mut bytes)?;
        for (id, body) in [(0, Request::GetInfo), (1, Request::Snapshot)] {
            encode(&ToEngine::Request { id, body }, &mut bytes)?;
        }
        writer.write_all(&bytes).await?;

        let (epoch, pid) = match reader.next().await? {
            ToControl::Welcome {
                version: PROTOCOL_VERSION,
                epoch,
                pid,
            } => (epoch, pid),
            ToControl::Welcome { version, .. } => {
                return Err(ConnectError::Protocol(format!(
                    "it has version {version}, this program {PROTOCOL_VERSION}"
                )));
            }
            ToControl::Refused { reason } => return Err(ConnectError::Refused(reason)),
            other => return Err(out_of_place(&other)),
        };
        let mut connection = Self {
            epoch,
            pid,
            snapshot: Snapshot::default(),
            info: EngineInfo::default(),
            reader,
            writer,
            early_events: VecDeque::new(),
        };
        connection.take_snapshot().await?;
        Ok(connection)
    }

    async fn take_snapshot(&mut self) -> Result<(), ConnectError> {
        let mut answers = 0;
        while answers < 2 {
            match self.reader.next().await? {
                ToControl::Object(object) => self.snapshot.objects.push(object),
                ToControl::Note { key, blob } => self.snapshot.notes.push((key, blob)),
                ToControl::Event(event) => self.early_events.push_back(event),
                ToControl::Answer { id: 0, body } => match body {
                    Ok(Answer::Info(info)) => {
                        self.info = info;
                        answers += 1;
                    }
                    other => return Err(ConnectError::Protocol(format!("{other:?}"))),
                },
                ToControl::Answer { id: 1, body } => match body {
                    Ok(Answer::Done) => answers += 1,
                    other => return Err(ConnectError::Protocol(format!("{other:?}"))),
                },
                other => return Err(out_of_place(&other)),
            }
        }
        Ok(())
    }

    /// Opens `link` for requests, calls `on_open`, and handles messages until the connection ends.
    pub async fn run(
        self,
        link: EngineLink,
        on_open: impl FnOnce(),
        mut on_event: impl FnMut(Event),
    ) -> ConnectError {
        let Self {
            mut reader,
            writer,
            early_events,
            ..
        } = self;
        let (sender, receiver) = mpsc::unbounded_channel();
        link.attach(sender);
        on_open();
        early_events.into_iter().for_each(&mut on_event);
        let reading = async {
            loop {
                match reader.next().await {
                    Ok(ToControl::Answer { id, body }) => link.answer(id, body),
                    Ok(ToControl::Event(event)) => on_event(event),
                    Ok(other) => break out_of_place(&other),
                    Err(error) => break error,
                }
            }
        };
        // One task for both ways: who drops it has hung up.
        let error = tokio::select! {
            error = reading => error,
            error = write_messages(writer, receiver) => error,
        };
        link.detach();
        error
    }
}

async fn write_messages(
    mut writer: OwnedWriteHalf,
    mut receiver: mpsc::UnboundedReceiver<ToEngine>,
) -> ConnectError {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    while receiver.recv_many(&mut batch, MAX_WRITE_BATCH).await > 0 {
        bytes.clear();
        for message in batch.drain(..) {
            if let Err(error) = encode(&message, &mut bytes) {
                tracing::error!(%error, "a message does not fit a frame");
            }
        }
        if let Err(error) = writer.write_all(&bytes).await {
            return error.into();
        }
    }
    // The link has let its end go, which it does only after us.
    io::Error::from(io::ErrorKind::NotConnected).into()
}

struct Reader {
    half: OwnedReadHalf,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
}

impl Reader {
    fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            decoder: FrameDecoder::default(),
            buffer: vec![0; 64 << 10],
        }
    }

    async fn next(&mut self) -> Result<ToControl, ConnectError> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Ok(message);
            }
            let count = self.half.read(&mut self.buffer).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.decoder.push(&self.buffer[..count]);
        }
    }
}

fn out_of_place(message: &ToControl) -> ConnectError {
    let name = match message {
        ToControl::Welcome { .. } => "a greeting",
        ToControl::Refused { .. } => "a refusal",
        ToControl::Answer { .. } => "an answer",
        ToControl::Object(_) => "an object",
        ToControl::Note { .. } => "a note",
        ToControl::Event(_) => "an event",
    };
    ConnectError::Protocol(format!("{name} is out of place"))
}
