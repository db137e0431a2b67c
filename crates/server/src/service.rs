//! From a request to its answer: path, access, who is asking, endpoint, reply, record.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use matchit::Router;

use crate::{
    Error, asking,
    asking::Asker,
    audit::Event,
    auth,
    base_url::BASE_PATH,
    call::Call,
    head::Head,
    ledger::{Fetch, How, Recognised},
    listen::{self, Answer, Connection, Peer},
    path,
    reply::{self, Body},
    routes::{self, Access, BootHandler, Handler, ROUTES, ReplyHandler, Route},
};

/// The longest a boot client waits for its first byte: after this, a 503 does it more good than silence.
const FIRST_BYTE: Duration = Duration::from_secs(3);

/// The longest path and query taken, in bytes: enough for a file name of 4096 with every byte escaped.
const LONGEST_TARGET: usize = 13 * 1024;

/// How many characters of a path or a reason are recorded.
const LONGEST_RECORDED: usize = 512;

/// Probes look for these at the root, too.
const AT_ROOT_TOO: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/openapi.json"];

/// Answers all requests to a head.
pub struct Service {
    head: Arc<Head>,
    router: Router<Vec<&'static Route>>,
}

impl Service {
    /// The service of this head.
    pub fn new(head: Arc<Head>) -> Self {
        Self {
            head,
            router: router(),
        }
    }

    /// The routes of this path, whatever their methods.
    fn find<'r, 'p>(
        &'r self,
        path: &'p str,
    ) -> Option<matchit::Match<'r, 'p, &'r Vec<&'static Route>>> {
        match path.strip_prefix(BASE_PATH) {
            Some(rest) => self.router.at(rest).ok(),
            None if AT_ROOT_TOO.contains(&path) => self.router.at(path).ok(),
            None => None,
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Answer<Body> {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let address = self.client_address(&parts.headers, connection);
        let is_head = parts.method == Method::HEAD;
        let raw_path = parts.uri.path().to_owned();

        let length = parts
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if length > LONGEST_TARGET {
            let error = Error::TargetTooLong(LONGEST_TARGET);
            return self.refuse(&error, &raw_path, address, is_head, began);
        }
        let path = match path::normalise(&raw_path) {
            Ok(path) => path,
            Err(error) => return self.refuse(&error, &raw_path, address, is_head, began),
        };
        let Some(found) = self.find(&path) else {
            let error = Error::NotFound(match path.starts_with(BASE_PATH) {
                true => format!("there is no endpoint {path}"),
                false => format!("there is no endpoint {path}; they are under {BASE_PATH}"),
            });
            return self.refuse(&error, &path, address, is_head, began);
        };
        let wanted = if is_head { &Method::GET } else { &parts.method };
        let Some(route) = found.value.iter().find(|route| route.method == *wanted) else {
            let error = Error::Method(methods(found.value));
            return self.refuse(&error, &path, address, is_head, began);
        };
        let mut call = Call::new(
            &self.head,
            (parts, body),
            path.to_string(),
            connection,
            address,
        );
        call.keep_params(routes::param_names(route.path), &found.params);

        match route.handler {
            Handler::Boot(handler) => self.boot(call, route, handler, began).await,
            Handler::Reply(handler) if route.method == Method::GET => {
                let response = reply(&mut call, route, handler).await;
                without_body_if(is_head, response).into()
            }
            Handler::Reply(handler) => self.change(call, route, handler).await.into(),
        }
    }

    /// Makes a change, and writes down who made it: to the end, even if the client goes away meanwhile.
    async fn change(
        &self,
        mut call: Call,
        route: &'static Route,
        handler: ReplyHandler,
    ) -> Response<Body> {
        let change = self.head.tasks.spawn(async move {
            let response = reply(&mut call, route, handler).await;
            if route.access == Access::Admin {
                audit(&call, response.status()).await;
            }
            response
        });
        change
            .await
            .unwrap_or_else(|panicked| Error::from(panicked).as_json())
    }

    /// Who is asking → content → reply, and a record of it all once the last byte is sent.
    async fn boot(
        &self,
        mut call: Call,
        route: &Route,
        handler: BootHandler,
        began: Instant,
    ) -> Answer<Body> {
        let delivery = match recognise(&mut call) {
            Ok(()) => {
                let late = |_| Error::Unavailable("it could not be made ready in time".into());
                match route.unhurried {
                    true => handler(&call).await,
                    false => tokio::time::timeout(FIRST_BYTE, handler(&call))
                        .await
                        .map_err(late)
                        .flatten(),
                }
            }
            Err(error) => Err(error),
        };
        let mut fetch = self.fetch(&call.path, call.address);
        fetch.node = call.asker.as_ref().map(|asker| Recognised {
            uid: asker.node.uid,
            name: asker.node.name.shared(),
            how: asker.how,
        });
        fetch.node_revision = call.asker.as_ref().map(|asker| asker.node.revision.0);
        let response = match delivery {
            Ok(delivery) => {
                fetch.sha256 = Some(delivery.sha256);
                fetch.file_revision = Some(bounded(&delivery.file_revision));
                fetch.reason = delivery.remark.as_deref().map(bounded);
                let response = reply::content(call.method(), call.headers(), delivery.content);
                if response.status().is_client_error() {
                    fetch.reason = response.status().canonical_reason().map(Into::into);
                }
                response
            }
            Err(error) => {
                fetch.reason = Some(bounded(&error.to_string()));
                without_body_if(call.method() == Method::HEAD, error.as_text())
            }
        };
        self.recorded(response, fetch, route.path, began)
    }

    /// Says no before an endpoint was found; to nodes as text, and on record.
    fn refuse(
        &self,
        error: &Error,
        path: &str,
        address: Option<IpAddr>,
        is_head: bool,
        began: Instant,
    ) -> Answer<Body> {
        let for_nodes = routes::is_for_nodes(path);
        let response = if for_nodes {
            error.as_text()
        } else {
            error.as_json()
        };
        let response = without_body_if(is_head, response);
        if !for_nodes {
            return response.into();
        }
        let mut fetch = self.fetch(path, address);
        fetch.reason = Some(bounded(&error.to_string()));
        self.recorded(response, fetch, "refused", began)
    }

    fn fetch(&self, path: &str, address: Option<IpAddr>) -> Fetch {
        Fetch {
            time: Timestamp::UNIX_EPOCH,
            node: None,
            // The ledger knows no addresses but IP addresses; a process of this machine has this one.
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            path: bounded(path),
            status: 0,
            bytes: 0,
            sent: 0,
            complete: false,
            sha256: None,
            elapsed: Duration::ZERO,
            reason: None,
            file_revision: None,
            node_revision: None,
        }
    }

    /// The response, and a promise to record what becomes of it.
    fn recorded(
        &self,
        response: Response<Body>,
        mut fetch: Fetch,
        endpoint: &'static str,
        began: Instant,
    ) -> Answer<Body> {
        fetch.status = response.status().as_u16();
        fetch.bytes = response.body().len();
        let head = Arc::clone(&self.head);
        let on_sent = move |sent: listen::Sent| {
            fetch.sent = sent.bytes;
            fetch.complete = sent.complete;
            fetch.elapsed = began.elapsed();
            fetch.time = Timestamp::now();
            head.metrics.boot_request(endpoint, &fetch);
            head.ledger.record(fetch);
        };
        Answer {
            response,
            on_sent: Some(Box::new(on_sent)),
        }
    }

    fn client_address(&self, headers: &HeaderMap, connection: &Connection) -> Option<IpAddr> {
        match connection.peer {
            Peer::Tcp(peer) => Some(asking::client_address(
                peer.ip(),
                headers,
                &self.head.settings.trusted_proxies,
            )),
            Peer::Unix(_) => None,
        }
    }
}

impl listen::Service for Service {
    type Body = Body;

    fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = Answer<Body>> + Send {
        self.answer(request, connection)
    }
}

async fn reply(call: &mut Call, route: &Route, handler: ReplyHandler) -> Response<Body> {
    let allowed = may_use(call, route.access);
    let replied = match allowed {
        Ok(()) => handler(call).await,
        Err(error) => Err(error),
    };
    replied.unwrap_or_else(|error| match route.access {
        Access::Boot => error.as_text(),
        _ => error.as_json(),
    })
}

/// Finds out who calls, as far as the access class asks for it.
fn may_use(call: &mut Call, access: Access) -> Result<(), Error> {
    match access {
        Access::Admin => {
            call.caller = auth::caller(
                &call.head,
                &call.state,
                call.headers(),
                call.connection.peer,
            )?;
            if call.caller.is_none() {
                return Err(Error::Unauthenticated(
                    "this needs a token: Authorization: Bearer TOKEN",
                ));
            }
        }
        // By the address alone: a header would let any node report for another.
        Access::Node => {
            let address = call.address.into_iter();
            call.asker = address
                .filter_map(|address| asking::node(&call.state, address, &HeaderMap::new()))
                .next();
        }
        Access::Boot => recognise(call)?,
        Access::Public => {}
    }
    Ok(())
}

/// Finds the node that asks, or the one that an administrator asks for.
fn recognise(call: &mut Call) -> Result<(), Error> {
    if let Some(id) = call.query.text("node") {
        call.caller = auth::caller(
            &call.head,
            &call.state,
            call.headers(),
            call.connection.peer,
        )?;
        if call.caller.is_some() {
            let node = call
                .state
                .node(id)
                .ok_or_else(|| Error::NotFound(format!("there is no node {id:?}")))?;
            call.asker = Some(Asker {
                node: Arc::clone(node),
                how: How::Token,
            });
            return Ok(());
        }
    }
    if let Some(address) = call.address {
        call.asker = asking::node(&call.state, address, call.headers());
    }
    Ok(())
}

/// Writes down what an administrator did. What nobody was allowed to do is not written: it would let anybody fill the
/// disk.
async fn audit(call: &Call, status: StatusCode) {
    let Some(caller) = &call.caller else { return };
    let event = Event {
        who: &caller.to_string(),
        from: &call.from(),
        action: &format!("{} {}", call.method(), call.path),
        status: status.as_u16(),
    };
    call.head.audit.record(event).await;
}

fn without_body_if(is_head: bool, response: Response<Body>) -> Response<Body> {
    if is_head {
        reply::without_body(response)
    } else {
        response
    }
}

/// A text from outside as it is recorded: not all of a megabyte.
fn bounded(text: &str) -> Box<str> {
    match text.char_indices().nth(LONGEST_RECORDED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

fn router() -> Router<Vec<&'static Route>> {
    let mut by_path: Vec<(&str, Vec<&Route>)> = Vec::new();
    for route in ROUTES {
        match by_path.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, routes)) => routes.push(route),
            None => by_path.push((route.path, vec![route])),
        }
    }
    let mut router = Router::new();
    for (path, routes) in by_path {
        // The table is a constant, and a test builds this router: no pattern of it is malformed or stands twice.
        router
            .insert(path, routes)
            .expect("the table of routes is consistent");
    }
    router
}

fn methods(routes: &[&'static Route]) -> Vec<&'static str> {
    let mut methods: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_can_be_reached() {
        let router = router();
        for route in ROUTES {
            let path = route
                .path
                .replace("{id}", "n4")
                .replace("{*name}", "sub/basic.ks");
            let found = router.at(&path).unwrap_or_else(|_| panic!("{path}"));
            assert!(
                found.value.iter().any(|known| std::ptr::eq(*known, route)),
                "{} {path}",
                route.method
            );
            assert_eq!(
                routes::param_names(route.path).len(),
                found.params.len(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_has_each_method_once() {
        for (i, route) in ROUTES.iter().enumerate() {
            let same = ROUTES[..i]
                .iter()
                .find(|other| other.path == route.path && other.method == route.method);
            assert!(same.is_none(), "{} {}", route.method, route.path);
        }
    }
}
