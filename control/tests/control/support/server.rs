//! A control on a port of its own, in front of a fake engine.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use weirgate_control::{
    http::{self, Listener},
    service::{Service, Supervisor, load_or_make},
    settings::Settings,
};

use super::{eventually, fake_engine::FakeEngine};

/// A folder with an engine in it; controls come and go.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) engine: FakeEngine,
}

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = FakeEngine::start(&dir.path().join("engine.sock"), 1);
        Self { dir, engine }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    /// A control with further flags.
    pub(crate) async fn control(&self, flags: &[&str]) -> Control {
        let mut args: Vec<OsString> = vec!["weirgate-control".into()];
        args.extend(["--http-listen".into(), "127.0.0.1:0".into()]);
        args.extend(["--engine-socket".into(), self.socket().into()]);
        args.extend(["--engine-bin".into(), "/nonexistent/engine".into()]);
        args.extend(flags.iter().map(OsString::from));
        let settings = Settings::load(args, |_| None).unwrap();
        // The one before may not have hung up yet.
        eventually("the engine's ear", async || {
            (!self.engine.is_connected()).then_some(())
        })
        .await;
        Control::start(settings, self.dir.path()).await
    }
}

pub(crate) struct Control {
    pub(crate) service: Arc<Service>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    supervising: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Control {
    async fn start(settings: Settings, dir: &std::path::Path) -> Self {
        let certificate = load_or_make(dir).unwrap();
        let listener = Listener::bind(&settings).await.unwrap();
        let service = Service::new(settings, &certificate).unwrap();
        let mut supervisor = Supervisor::new(Arc::clone(&service));
        let connection = supervisor.connect().await.unwrap();
        let address = listener.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let supervising = tokio::spawn(supervisor.run(connection, async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        let (serve_on, stop_serving) = watch::channel(false);
        let served = Arc::clone(&service);
        let serving = tokio::spawn(async move {
            http::serve(listener, served, stop_serving).await;
            drop(serve_on);
        });
        let tended = Arc::clone(&service);
        let tending = tokio::spawn(async move {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                tended.tend_rooms(std::time::Instant::now());
            }
        });
        eventually("the link", async || {
            service.engine.is_connected().then_some(())
        })
        .await;
        Self {
            service,
            address,
            stop: Some(stop),
            supervising,
            tasks: vec![serving, tending],
        }
    }

    /// Is gone from one moment to the next, as by kill -9.
    pub(crate) async fn kill(mut self) {
        self.supervising.abort();
        let _ = (&mut self.supervising).await;
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Ends as by TERM.
    pub(crate) async fn terminate(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.supervising).await.unwrap();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.supervising.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}
