//! Log lines go to stderr by a thread of their own, so that a reader of stderr that is slow or
//! gone costs lines, never the caller's time or the process.

use std::io::{self, Write};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use weirgate_io::Duty;

use crate::config::LogFormat;

/// Lines kept for a slow reader; more are dropped.
const MAX_QUEUED_LINES: usize = 4_096;
/// How long the end of the process waits for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps the log going; dropping it writes what is queued.
pub(crate) struct LogGuard {
    lines: Sender<Line>,
}

enum Line {
    Text(Vec<u8>),
    /// Answered once everything before it is written.
    Flush(Sender<()>),
}

/// Starts logging; `RUST_LOG` sets what is logged, `info` by default.
pub(crate) fn start(format: LogFormat) -> io::Result<LogGuard> {
    let (lines, queue) = bounded(MAX_QUEUED_LINES);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            crate::process::give_up_rights(Duty::None);
            write_lines(&queue);
        })?;
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LineWriter {
            lines: lines.clone(),
        })
        // Its own complaints would go through `eprintln!`, which panics where stderr is gone.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(LogGuard { lines })
}

impl LogGuard {
    /// Waits until everything logged so far is written, or nobody seems to read it.
    pub(crate) fn flush(&self) {
        let (done, written) = bounded(1);
        if self
            .lines
            .send_timeout(Line::Flush(done), FLUSH_TIMEOUT)
            .is_ok()
        {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    /// The same for those who do not hold the guard.
    pub(crate) fn flusher(&self) -> impl Fn() + Send + Sync + use<> {
        let guard = Self {
            lines: self.lines.clone(),
        };
        move || guard.flush()
    }
}

fn write_lines(queue: &Receiver<Line>) {
    for line in queue {
        match line {
            // Where stderr is closed or its reader gone, there is nobody to tell.
            Line::Text(text) => {
                let _ = io::stderr().write_all(&text);
            }
            Line::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

struct LineWriter {
    lines: Sender<Line>,
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        QueuedLine {
            text: Vec::new(),
            lines: &self.lines,
        }
    }
}

/// Collects one line and queues it when dropped.
struct QueuedLine<'a> {
    text: Vec<u8>,
    lines: &'a Sender<Line>,
}

impl Write for QueuedLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueuedLine<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.lines.try_send(Line::Text(text))
        {
            // Dropped: a log that blocked the engine would be worse than a gap in it.
        }
    }
}
