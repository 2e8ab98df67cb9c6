//! The control process: reads its settings, connects to the engine, serves until told to end.

use std::{ffi::OsString, io::IsTerminal as _, process::ExitCode, sync::Arc, time::Duration};

use rustix::process::{Resource, Rlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{interval, timeout},
};
use weirgate_control::{
    engine_link::{LAUNCHER_ARGUMENT, LaunchError, prepare_folder, run_engine_in_own_session},
    http::{self, BindError, Listener},
    service::{Service, Supervisor, load_or_make},
    settings::{LogFormat, Settings, SettingsError, unknown_variables},
};

/// How often rooms are looked after.
const TENDING_INTERVAL: Duration = Duration::from_millis(500);

/// Open connections may take this long to end.
const DRAIN_TIME: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().peekable();
    let program = arguments.next();
    if arguments
        .peek()
        .is_some_and(|first| first == LAUNCHER_ARGUMENT)
    {
        arguments.next();
        let error = run_engine_in_own_session(arguments);
        return fail(&error, exit_code(&error));
    }
    let arguments: Vec<OsString> = program.into_iter().chain(arguments).collect();
    let settings = match Settings::load(arguments, variable) {
        Ok(settings) => settings,
        Err(SettingsError::Flags(error)) => error.exit(),
        Err(error) => return fail(&error, 2),
    };
    start_logging(&settings);
    raise_file_limit();
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for name in unknown_variables(names) {
        tracing::warn!(%name, "this variable is no setting, see --help; it is ignored");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref(), exit_code(error.as_ref())),
    }
}

/// Of the environment. What is not UTF-8 is refused as a value later.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned())
}

/// 2 where a setting has to be changed, 1 where starting again may help.
fn exit_code(error: &(dyn std::error::Error + 'static)) -> u8 {
    let bind = error.downcast_ref().is_some_and(BindError::is_a_setting);
    let launch = error.downcast_ref().is_some_and(LaunchError::is_a_setting);
    if bind || launch { 2 } else { 1 }
}

async fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    // First what can fail without an engine, so that none is left behind.
    let listener = Listener::bind(&settings).await?;
    let folder = prepare_folder(&settings.engine_socket)?;
    let certificate = load_or_make(&folder)?;
    let service = Service::new(settings, &certificate)?;
    let mut supervisor = Supervisor::new(Arc::clone(&service));
    let stop = stop_on_signal()?;
    let connection = supervisor.connect().await?;
    let url = format!("{}://{}", listener.scheme(), listener.address());
    tracing::info!(%url, "listening");

    let engine = tokio::spawn(supervisor.run(connection, stopped(stop.clone())));
    tokio::spawn(tend(Arc::clone(&service)));
    let server = tokio::spawn(http::serve(listener, Arc::clone(&service), stop.clone()));
    stopped(stop).await;
    tracing::info!("ending");
    // Listeners of events and signaling never end by themselves.
    let _ = timeout(DRAIN_TIME, server).await;
    engine.await?;
    Ok(())
}

/// Becomes true at the first INT or TERM.
fn stop_on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        sender.send_replace(true);
        // Kept, so that nobody takes its end for the signal.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error would mean that the signal's task is gone, and then nothing can be waited for.
    let _ = stop.wait_for(|is_set| *is_set).await;
}

async fn tend(service: Arc<Service>) {
    let mut ticks = interval(TENDING_INTERVAL);
    loop {
        let now = ticks.tick().await;
        service.tend_rooms(now.into_std());
    }
}

/// Every client has a connection. Where the limit can not be raised, the old one holds.
fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}

fn start_logging(settings: &Settings) {
    let logs = tracing_subscriber::fmt()
        .with_max_level(settings.log_level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => logs.with_target(false).init(),
        LogFormat::Json => logs.json().init(),
    }
}

fn fail(error: &(impl std::fmt::Display + ?Sized), code: u8) -> ExitCode {
    eprintln!("weirgate-control: {error}");
    ExitCode::from(code)
}
