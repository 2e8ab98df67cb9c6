//! Figures for Prometheus: this process's own, and the engine's under the names it gives them.

use std::{
    collections::BTreeSet,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use weirgate_wire::{Histogram, ShardCounters};

use crate::service::Service;

/// Counters of this process, all since its start.
#[derive(Debug, Default)]
pub struct Counters {
    dtls_connected: AtomicU64,
    dtls_failed: AtomicU64,
    engine_restarts: AtomicU64,
    sockets: AtomicU64,
    signaling_requests: AtomicU64,
    signaling_errors: AtomicU64,
    http_requests: [AtomicU64; HTTP_CLASSES.len()],
    http_connections: AtomicU64,
    http_connections_refused: AtomicU64,
}

const HTTP_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Counters {
    pub(crate) fn dtls_connected(&self) {
        self.dtls_connected.fetch_add(1, Relaxed);
    }

    pub(crate) fn dtls_failed(&self) {
        self.dtls_failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn engine_restarted(&self) {
        self.engine_restarts.fetch_add(1, Relaxed);
    }

    pub(crate) fn socket_opened(&self) {
        self.sockets.fetch_add(1, Relaxed);
    }

    pub(crate) fn socket_closed(&self) {
        self.sockets.fetch_sub(1, Relaxed);
    }

    pub(crate) fn http_connection_opened(&self) {
        self.http_connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn http_connection_closed(&self) {
        self.http_connections.fetch_sub(1, Relaxed);
    }

    pub(crate) fn http_connection_refused(&self) {
        self.http_connections_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn signaling_request(&self, has_failed: bool) {
        self.signaling_requests.fetch_add(1, Relaxed);
        if has_failed {
            self.signaling_errors.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn http_request(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        self.http_requests[class.min(HTTP_CLASSES.len() - 1)].fetch_add(1, Relaxed);
    }
}

/// Everything as OpenMetrics text. `engine` is empty while it is away.
pub(crate) fn open_metrics(
    service: &Service,
    engine: &[ShardCounters],
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("weirgate");
    registry.register_collector(Box::new(Figures::of(service, engine)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in Prometheus' own text format, for readers that do not ask for OpenMetrics. That knows neither
/// units nor an end mark, and calls a family of counters as its samples, `_total` included.
pub(crate) fn classic(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() * 11 / 10);
    for line in open_metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        // `# HELP NAME …` and `# TYPE NAME …`; a sample has no third word that is a name.
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", what, family, rest] if counters.contains(family) => {
                text += &format!("# {what} {family}_total {rest}");
            }
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

/// One figure under one name, with a value per label.
#[derive(Debug)]
struct Figure {
    name: String,
    help: &'static str,
    unit: Option<Unit>,
    is_counter: bool,
    /// Label and value; no label where the name says it all.
    values: Vec<(Option<(&'static str, String)>, f64)>,
}

/// All figures of one look.
#[derive(Debug)]
struct Figures {
    figures: Vec<Figure>,
    /// Of the engine, with the shard each is of.
    histograms: Vec<(usize, Histogram)>,
}

impl Figures {
    fn of(service: &Service, engine: &[ShardCounters]) -> Self {
        let mut figures = Self {
            figures: Vec::new(),
            histograms: Vec::new(),
        };
        figures.add_objects(service);
        figures.add_counters(&service.counters);
        let connected = f64::from(u8::from(service.facts().is_ok()));
        figures.gauge("engine_up", "The engine is connected.", connected);
        let uptime = service.started.elapsed().as_secs_f64();
        figures.gauge("uptime", "Time since this process started.", uptime);
        figures.last_unit(Unit::Seconds);
        figures.add_engine(engine);
        figures
    }

    fn add_objects(&mut self, service: &Service) {
        let transports = service.transport_counts();
        let state = service.state();
        let model = &state.model;
        let count = |count: usize| count as f64;
        self.gauge("routers", "Routers.", count(model.routers.len()));
        self.gauge("producers", "Producers.", count(model.producers.len()));
        self.gauge("consumers", "Consumers.", count(model.consumers.len()));
        self.gauge("rooms", "Rooms.", count(state.rooms.len()));
        self.gauge("peers", "Peers in rooms.", count(state.rooms.peer_count()));
        let by_kind = |(kind, number): (&str, usize)| {
            let label = ("type", kind.to_owned());
            (Some(label), count(number))
        };
        self.figures.push(Figure {
            name: "transports".to_owned(),
            help: "Transports.",
            unit: None,
            is_counter: false,
            values: transports.into_iter().map(by_kind).collect(),
        });
    }

    fn add_counters(&mut self, counters: &Counters) {
        let read = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        let sockets = read(&counters.sockets);
        self.gauge("signaling_connections", "Signaling connections.", sockets);
        let connections = read(&counters.http_connections);
        self.gauge("http_connections", "HTTP connections.", connections);
        self.counter(
            "http_connections_refused",
            "HTTP connections closed at once, since there were too many.",
            read(&counters.http_connections_refused),
        );
        self.counter(
            "engine_restarts",
            "Engines that took the place of a lost one.",
            read(&counters.engine_restarts),
        );
        self.counter(
            "signaling_requests",
            "Signaling requests.",
            read(&counters.signaling_requests),
        );
        self.counter(
            "signaling_errors",
            "Signaling requests that failed.",
            read(&counters.signaling_errors),
        );
        let labelled = |name, label: &str, counter| (Some((name, label.to_owned())), read(counter));
        self.figures.push(Figure {
            name: "dtls_handshakes".to_owned(),
            help: "DTLS handshakes that ended.",
            unit: None,
            is_counter: true,
            values: vec![
                labelled("result", "connected", &counters.dtls_connected),
                labelled("result", "failed", &counters.dtls_failed),
            ],
        });
        let classes = HTTP_CLASSES.iter().zip(&counters.http_requests);
        self.figures.push(Figure {
            name: "http_requests".to_owned(),
            help: "HTTP requests by class of their answer.",
            unit: None,
            is_counter: true,
            values: classes
                .map(|(class, counter)| labelled("class", class, counter))
                .collect(),
        });
    }

    /// One figure per name, with a value per shard; the last entry is the hub's.
    fn add_engine(&mut self, engine: &[ShardCounters]) {
        for (index, shard) in engine.iter().enumerate() {
            let histograms = shard.histograms.iter().cloned();
            self.histograms.extend(histograms.map(|it| (index, it)));
            let label = match index + 1 == engine.len() {
                true => "hub".to_owned(),
                false => index.to_string(),
            };
            let counters = shard.counters.iter().map(|it| (it, true));
            let gauges = shard.gauges.iter().map(|it| (it, false));
            for ((name, value), is_counter) in counters.chain(gauges) {
                let name = format!("engine_{name}");
                let value = (Some(("shard", label.clone())), *value as f64);
                let known = self.figures.iter_mut().find(|figure| figure.name == name);
                match known {
                    Some(figure) => figure.values.push(value),
                    None => self.figures.push(Figure {
                        name,
                        help: "As the engine counts it.",
                        unit: None,
                        is_counter,
                        values: vec![value],
                    }),
                }
            }
        }
    }

    fn gauge(&mut self, name: &str, help: &'static str, value: f64) {
        self.single(name, help, false, value);
    }

    fn counter(&mut self, name: &str, help: &'static str, value: f64) {
        self.single(name, help, true, value);
    }

    fn single(&mut self, name: &str, help: &'static str, is_counter: bool, value: f64) {
        self.figures.push(Figure {
            name: name.to_owned(),
            help,
            unit: None,
            is_counter,
            values: vec![(None, value)],
        });
    }

    fn last_unit(&mut self, unit: Unit) {
        if let Some(figure) = self.figures.last_mut() {
            figure.unit = Some(unit);
        }
    }
}

impl Figures {
    /// One family per name, with a histogram per shard.
    fn encode_histograms(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let names: BTreeSet<_> = self.histograms.iter().map(|(_, it)| &it.name).collect();
        for name in names {
            let full = format!("engine_{name}");
            let help = "As the engine counts it.";
            let mut metric = encoder.encode_descriptor(&full, help, None, MetricType::Histogram)?;
            for (shard, histogram) in self.histograms.iter().filter(|(_, it)| it.name == *name) {
                let buckets = histogram.buckets.iter();
                let mut buckets: Vec<_> = buckets.map(|&(to, n)| (to as f64, n)).collect();
                buckets.push((f64::INFINITY, 0));
                let count = histogram.buckets.iter().map(|(_, n)| n).sum();
                let labels = [("shard", shard.to_string())];
                let labels = labels.as_slice();
                let mut one = metric.encode_family(&labels)?;
                one.encode_histogram::<NoLabelSet>(histogram.sum as f64, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

impl Figure {
    fn encode(&self, value: f64, to: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.is_counter {
            true => ConstCounter::new(value).encode(to),
            false => ConstGauge::new(value).encode(to),
        }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for figure in &self.figures {
            let kind = match figure.is_counter {
                true => MetricType::Counter,
                false => MetricType::Gauge,
            };
            let mut metric =
                encoder.encode_descriptor(&figure.name, figure.help, figure.unit.as_ref(), kind)?;
            for (label, value) in &figure.values {
                let Some(label) = label else {
                    // The only value there is.
                    figure.encode(*value, metric)?;
                    break;
                };
                let labels = [label.clone()];
                let labels = labels.as_slice();
                let one = metric.encode_family(&labels)?;
                figure.encode(*value, one)?;
            }
        }
        self.encode_histograms(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_names_counters_as_their_samples() {
        let open = "# HELP w_up Up.\n# TYPE w_up gauge\nw_up 1\n\
            # HELP w_got_bytes Got it.\n# TYPE w_got_bytes counter\n# UNIT w_got_bytes bytes\n\
            w_got_bytes_total{shard=\"0\"} 5\n# EOF\n";
        let wanted = "# HELP w_up Up.\n# TYPE w_up gauge\nw_up 1\n\
            # HELP w_got_bytes_total Got it.\n# TYPE w_got_bytes_total counter\n\
            w_got_bytes_total{shard=\"0\"} 5\n";
        assert_eq!(classic(open), wanted);
    }
}
