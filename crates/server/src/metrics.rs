//! `GET /metrics`: counters in Prometheus' text format.

use std::sync::Arc;

use ::heads::{exchange::FileCounts, membership::Membership};
use http::{HeaderMap, Response};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use store::{Link, LiveState};

use crate::{
    Error,
    call::Call,
    ledger::{Fetch, Ledger},
    listen::Connections,
    reply::{Body, Content, ContentType, ETag},
};

/// What a head counts. Labels take their values from the table of routes and from HTTP's statuses, so they are few.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    cut_off: Counter,
    bytes: Counter,
    seconds: Histogram,
    reports: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    status: u16,
}

impl Metrics {
    pub(crate) fn new(
        state: Arc<LiveState>,
        membership: Arc<Membership>,
        ledger: Ledger,
        connections: Arc<Connections>,
    ) -> Self {
        // From a file in memory to one that had to be fetched.
        let seconds = Histogram::new([0.0001, 0.001, 0.01, 0.1, 1.0, 3.0, 10.0, 60.0]);
        let metrics = Self {
            registry: Registry::with_prefix("pilotlight"),
            requests: Family::default(),
            cut_off: Counter::default(),
            bytes: Counter::default(),
            seconds,
            reports: Counter::default(),
        };
        metrics.registered(state, membership, ledger, connections)
    }

    fn registered(
        mut self,
        state: Arc<LiveState>,
        membership: Arc<Membership>,
        ledger: Ledger,
        connections: Arc<Connections>,
    ) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "boot_requests",
            "Boot requests answered",
            self.requests.clone(),
        );
        registry.register(
            "boot_cut_off",
            "Boot answers that did not reach their client whole",
            self.cut_off.clone(),
        );
        registry.register_with_unit(
            "boot_sent",
            "Bytes of boot answers sent",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register_with_unit(
            "boot_duration",
            "From a boot request to the end of its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "status_reports",
            "Reports taken from nodes",
            self.reports.clone(),
        );
        registry.register_collector(Box::new(Now {
            state,
            membership,
            ledger,
            connections,
        }));
        self
    }

    pub(crate) fn report(&self) {
        self.reports.inc();
    }

    pub(crate) fn boot_request(&self, endpoint: &'static str, fetch: &Fetch) {
        self.requests
            .get_or_create(&RequestLabels {
                endpoint,
                status: fetch.status,
            })
            .inc();
        self.bytes.inc_by(fetch.sent);
        self.seconds.observe(fetch.elapsed.as_secs_f64());
        if !fetch.complete {
            self.cut_off.inc();
        }
    }
}

/// `GET /metrics`
pub(crate) async fn get(call: &mut Call) -> Result<Response<Body>, Error> {
    let mut text = String::new();
    encode(&mut text, &call.head.metrics.registry).map_err(Error::internal)?;
    let content = Content {
        etag: ETag::of_sha256(content::Sha256Digest::of(text.as_bytes()).as_bytes()),
        body: Body::from(text),
        content_type: ContentType::OPENMETRICS,
        last_modified: None,
        fields: HeaderMap::new(),
    };
    Ok(crate::reply::content(
        call.method(),
        call.headers(),
        content,
    ))
}

/// What is not counted but looked at when somebody asks.
struct Now {
    state: Arc<LiveState>,
    membership: Arc<Membership>,
    ledger: Ledger,
    connections: Arc<Connections>,
}

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.state.get();
        let gauges = [
            ("nodes", "Nodes in the cluster", state.nodes.len() as i64),
            (
                "attribute_groups",
                "Attribute groups in the cluster",
                state.groups.len() as i64,
            ),
            (
                "state_revision",
                "Revision of the cluster state this head serves",
                state.revision().0 as i64,
            ),
            (
                "connections",
                "Connections open",
                self.connections.open() as i64,
            ),
        ];
        let several = self.membership.replication().map(|replication| {
            let report = replication.report();
            let files = FileCounts::from(report.as_ref());
            [
                ("heads", "Heads in the cluster", state.heads.len() as i64),
                (
                    "store_linked",
                    "Whether changes can be made: 1, or 0 while etcd cannot be reached",
                    i64::from(matches!(self.membership.link(), Some(Link::Up { .. }))),
                ),
                (
                    "files_missing",
                    "Files that all heads are to have and that have not arrived here",
                    files.missing as i64,
                ),
                (
                    "files_differing",
                    "Files that are here in another version than all heads are to have",
                    files.differing as i64,
                ),
                (
                    "files_unpublished",
                    "Files that are here and that no other head knows of yet",
                    files.unpublished as i64,
                ),
                (
                    "file_conflicts",
                    "Overridden versions of files that lie in the directory conflicts",
                    report.conflicts as i64,
                ),
            ]
        });
        for (name, help, value) in gauges.into_iter().chain(several.into_iter().flatten()) {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counters = [
            (
                "ledger_recorded",
                "Fetches recorded in the ledger",
                self.ledger.recorded(),
            ),
            (
                "ledger_dropped",
                "Fetches neither logged nor recorded, for overload",
                self.ledger.dropped(),
            ),
            (
                "ledger_unstored",
                "Fetches logged but not recorded, for a fault of the ledger's file",
                self.ledger.unstored(),
            ),
            (
                "connections_refused",
                "Connections answered 503 for a limit",
                self.connections.refused(),
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}
