//! The table of all endpoints: path, who may use it, what it is for, and the function that answers.
//!
//! This is what requests are dispatched by and what the OpenAPI document is made from, so an endpoint cannot exist
//! without an access class or go undocumented.

use std::{future::Future, pin::Pin};

use http::{Method, Response};
use model::{
    AdminSpec, Attributes, BootConfigSpec, GitRepoSpec, GroupSpec, HeadSpec, NodeSpec, Uid,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{
    Error,
    auth::{self, Login, Refresh, Tokens},
    base_url::BASE_PATH,
    boot::{Delivery, ignition, ignition_bin, kickstart, ztp},
    call::Call,
    health, install,
    install::{download, head, installer, join, password},
    manage::objects::{Listed, Shown},
    manage::{
        admins, attributes, check, cluster, files, heads, ledger, nodes, objects, packages, render,
    },
    metrics, openapi,
    reply::Body,
    repo, status,
};

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody: probes, metrics, this document, and logging in.
    Public,
    /// Any node; the answer depends on which one asks.
    Boot,
    /// The node that the path names, known by its address alone.
    Node,
    /// An administrator with a token, or root on the local socket.
    Admin,
}

type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Finds what a node is to receive.
pub(crate) type BootHandler = for<'a> fn(&'a Call) -> Answering<'a, Delivery>;

/// Makes a whole reply.
pub(crate) type ReplyHandler = for<'a> fn(&'a mut Call) -> Answering<'a, Response<Body>>;

/// The function behind an endpoint.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Of what nodes boot from; asked once it is known which node asks, and recorded in the ledger.
    Boot(BootHandler),
    /// Of everything else.
    Reply(ReplyHandler),
}

/// The JSON schema of a body or of an answer's data.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One endpoint.
pub(crate) struct Route {
    pub method: Method,
    /// The path under the base path, in matchit's notation.
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
    /// Whether its clients wait for longer than those that boot, as one that downloads a package does.
    pub unhurried: bool,
    /// What the query may hold beside a list's filters.
    pub query: &'static [&'static str],
    /// The JSON body it takes.
    pub takes: Option<SchemaOf>,
    /// The data it answers with.
    pub gives: Option<SchemaOf>,
    pub handler: Handler,
}

impl Route {
    const fn unhurried(mut self) -> Self {
        self.unhurried = true;
        self
    }

    const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    const fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Takes any of the fields of `T`.
    const fn takes_part_of<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(|generator| {
            let mut schema = T::json_schema(generator);
            schema.remove("required");
            schema
        });
        self
    }

    const fn gives<T: JsonSchema>(mut self) -> Self {
        self.gives = Some(SchemaGenerator::subschema_for::<T>);
        self
    }
}

const fn route(
    method: Method,
    path: &'static str,
    access: Access,
    summary: &'static str,
    handler: Handler,
) -> Route {
    Route {
        method,
        path,
        access,
        summary,
        unhurried: false,
        query: &[],
        takes: None,
        gives: None,
        handler,
    }
}

macro_rules! boot {
    ($path:literal, $handler:path, $summary:literal) => {
        route(
            Method::GET,
            $path,
            Access::Boot,
            $summary,
            Handler::Boot(|call| Box::pin($handler(call))),
        )
    };
}

macro_rules! public {
    ($method:ident $path:literal, $handler:path, $summary:literal) => {
        route(
            Method::$method,
            $path,
            Access::Public,
            $summary,
            Handler::Reply(|call| Box::pin($handler(call))),
        )
    };
}

macro_rules! admin {
    ($method:ident $path:literal, $handler:path, $summary:literal) => {
        route(
            Method::$method,
            $path,
            Access::Admin,
            $summary,
            Handler::Reply(|call| Box::pin($handler(call))),
        )
    };
}

/// All endpoints.
pub(crate) static ROUTES: &[Route] = &[
    // What nodes ask for.
    boot!("/kickstart/{*name}", kickstart::get, "A kickstart file, with the asking node's values in it"),
    boot!("/ignition/bin", ignition_bin::get, "The program that applies Ignition configs, for an architecture").query(&["arch"]),
    boot!("/ignition/{id}", ignition::get, "The Ignition config of a node, by UID, name, MAC or IP"),
    boot!("/ztp/script", ztp::get, "The ZTP script or configuration of the asking switch"),
    // What nodes install.
    boot!("/install/client/installer", installer::get, "The script that installs this machine's client packages").query(&["cpu", "os", "pkg"]).unhurried(),
    boot!("/install/client/download/{*name}", download::get, "A client package: NAME, KIND/NAME or KIND/ARCHITECTURE/NAME").query(&["pkg", "arch"]).unhurried(),
    boot!("/download/{*name}", download::get, "The same by its short path").query(&["pkg", "arch"]).unhurried(),
    boot!("/repo/{*name}", repo::get, "The client packages as a repository: rpm/ for dnf, deb/ for apt").unhurried(),
    boot!("/repo/head/{*name}", repo::head::get, "The packages of the head itself: rpm/ for dnf, deb/ for apt, tar/").unhurried(),
    // What makes a head of another machine.
    boot!("/install/head/scyld-install", head::get, "The script that joins a machine to this head's cluster, as another head").unhurried(),
    boot!("/install/head/cw-install", head::get, "The same by its other name").unhurried(),
    // What the agent on a node asks for again and again.
    route(
        Method::GET,
        "/install/client/attributes",
        Access::Boot,
        "The asking node's effective attributes, as an INI file",
        Handler::Reply(|call| Box::pin(install::attributes::get(call))),
    ),
    // What nodes tell.
    route(
        Method::POST,
        "/node/{id}/status",
        Access::Node,
        "What a node reports of itself",
        Handler::Reply(|call| Box::pin(status::post(call))),
    )
    .takes::<status::Report>()
    .gives::<status::Taken>(),
    // What anybody may ask.
    public!(GET "/install/repo", install::repo::get, "Where another machine gets the packages of this head: a source of dnf, of apt, or the URL of a tar").query(&["pkg"]).unhurried().gives::<String>(),
    public!(GET "/healthz", health::healthz, "Whether boot files can be served"),
    public!(GET "/readyz", health::readyz, "Whether changes can be made, too"),
    public!(GET "/metrics", metrics::get, "Counters for Prometheus"),
    public!(GET "/openapi.json", openapi::get, "This document"),
    public!(POST "/auth/login", auth::login, "Open a session").takes::<Login>().gives::<Tokens>(),
    public!(GET "/install/head/join", join::challenge, "What a machine is to prove that wants to join").gives::<serde_json::Value>(),
    public!(POST "/install/head/join", join::admit, "Let in a machine that knows the cluster database password").takes::<serde_json::Value>().gives::<serde_json::Value>().unhurried(),
    public!(POST "/install/password", password::post, "Whether this is the cluster database password").takes::<password::Try>(),
    public!(POST "/auth/refresh", auth::refresh, "Renew a session's tokens").takes::<Refresh>().gives::<Tokens>(),
    // Management.
    admin!(POST "/auth/logout", auth::logout, "End this session"),
    admin!(GET "/nodes", objects::list::<NodeSpec>, "The nodes").query(LISTS).gives::<Listed<nodes::NodeView>>(),
    admin!(POST "/nodes", objects::create::<NodeSpec>, "Create a node").takes::<NodeSpec>().gives::<Uid>(),
    admin!(GET "/node/{id}", nodes::show, "A node, by UID, name, MAC or IP").query(&["effective"]).gives::<Shown<nodes::NodeView>>(),
    admin!(PATCH "/node/{id}", objects::patch::<NodeSpec>, "Change some fields of a node").takes_part_of::<NodeSpec>().gives::<Shown<nodes::NodeView>>(),
    admin!(PUT "/node/{id}", nodes::replace, "Replace a node").takes::<NodeSpec>().gives::<Shown<nodes::NodeView>>(),
    admin!(DELETE "/node/{id}", objects::delete::<NodeSpec>, "Delete a node"),
    admin!(GET "/node/{id}/attributes", attributes::show::<NodeSpec>, "A node's own attributes").gives::<Attributes>(),
    admin!(PATCH "/node/{id}/attributes", attributes::patch::<NodeSpec>, "Set some of a node's attributes").takes_part_of::<Attributes>().gives::<Shown<nodes::NodeView>>(),
    admin!(PUT "/node/{id}/attributes", attributes::replace::<NodeSpec>, "Replace all of a node's attributes").takes::<Attributes>().gives::<Shown<nodes::NodeView>>(),
    admin!(DELETE "/node/{id}/attributes", attributes::remove::<NodeSpec>, "Remove some of a node's attributes").takes::<Vec<String>>().gives::<Shown<nodes::NodeView>>(),
    admin!(GET "/attribs", objects::list::<GroupSpec>, "The attribute groups").query(LISTS).gives::<Listed<GroupSpec>>(),
    admin!(POST "/attribs", objects::create::<GroupSpec>, "Create an attribute group").takes::<GroupSpec>().gives::<Uid>(),
    admin!(GET "/attrib/{id}", objects::show::<GroupSpec>, "An attribute group").gives::<Shown<GroupSpec>>(),
    admin!(PATCH "/attrib/{id}", objects::patch::<GroupSpec>, "Change some fields of a group").takes_part_of::<GroupSpec>().gives::<Shown<GroupSpec>>(),
    admin!(PUT "/attrib/{id}", objects::replace::<GroupSpec>, "Replace a group").takes::<GroupSpec>().gives::<Shown<GroupSpec>>(),
    admin!(DELETE "/attrib/{id}", objects::delete::<GroupSpec>, "Delete a group that no node is in"),
    admin!(GET "/attrib/{id}/attributes", attributes::show::<GroupSpec>, "A group's attributes").gives::<Attributes>(),
    admin!(PATCH "/attrib/{id}/attributes", attributes::patch::<GroupSpec>, "Set some of a group's attributes").takes_part_of::<Attributes>().gives::<Shown<GroupSpec>>(),
    admin!(PUT "/attrib/{id}/attributes", attributes::replace::<GroupSpec>, "Replace all of a group's attributes").takes::<Attributes>().gives::<Shown<GroupSpec>>(),
    admin!(DELETE "/attrib/{id}/attributes", attributes::remove::<GroupSpec>, "Remove some of a group's attributes").takes::<Vec<String>>().gives::<Shown<GroupSpec>>(),
    admin!(GET "/bootconfigs", objects::list::<BootConfigSpec>, "The boot configurations").query(LISTS).gives::<Listed<BootConfigSpec>>(),
    admin!(POST "/bootconfigs", objects::create::<BootConfigSpec>, "Create a boot configuration").takes::<BootConfigSpec>().gives::<Uid>(),
    admin!(GET "/bootconfig/{id}", objects::show::<BootConfigSpec>, "A boot configuration").gives::<Shown<BootConfigSpec>>(),
    admin!(PATCH "/bootconfig/{id}", objects::patch::<BootConfigSpec>, "Change some fields of a boot configuration").takes_part_of::<BootConfigSpec>().gives::<Shown<BootConfigSpec>>(),
    admin!(PUT "/bootconfig/{id}", objects::replace::<BootConfigSpec>, "Replace a boot configuration").takes::<BootConfigSpec>().gives::<Shown<BootConfigSpec>>(),
    admin!(DELETE "/bootconfig/{id}", objects::delete::<BootConfigSpec>, "Delete a boot configuration"),
    admin!(GET "/gitrepos", objects::list::<GitRepoSpec>, "The registered git repositories").query(LISTS).gives::<Listed<GitRepoSpec>>(),
    admin!(POST "/gitrepos", objects::create::<GitRepoSpec>, "Register a git repository").takes::<GitRepoSpec>().gives::<Uid>(),
    admin!(GET "/gitrepo/{id}", objects::show::<GitRepoSpec>, "A git repository").gives::<Shown<GitRepoSpec>>(),
    admin!(PATCH "/gitrepo/{id}", objects::patch::<GitRepoSpec>, "Change some fields of a git repository").takes_part_of::<GitRepoSpec>().gives::<Shown<GitRepoSpec>>(),
    admin!(PUT "/gitrepo/{id}", objects::replace::<GitRepoSpec>, "Replace a git repository").takes::<GitRepoSpec>().gives::<Shown<GitRepoSpec>>(),
    admin!(DELETE "/gitrepo/{id}", objects::delete::<GitRepoSpec>, "Delete a git repository"),
    admin!(GET "/admins", objects::list::<AdminSpec>, "The administrators").query(LISTS).gives::<Listed<admins::AdminView>>(),
    admin!(POST "/admins", admins::create, "Create an administrator").takes::<admins::AdminBody>().gives::<Uid>(),
    admin!(GET "/admin/{id}", objects::show::<AdminSpec>, "An administrator").gives::<Shown<admins::AdminView>>(),
    admin!(PATCH "/admin/{id}", admins::patch, "Change an administrator; a new password ends their sessions").takes_part_of::<admins::AdminBody>().gives::<Shown<admins::AdminView>>(),
    admin!(PUT "/admin/{id}", admins::replace, "Replace an administrator").takes::<admins::AdminBody>().gives::<Shown<admins::AdminView>>(),
    admin!(DELETE "/admin/{id}", objects::delete::<AdminSpec>, "Delete an administrator, but never the last one"),
    admin!(GET "/cluster", cluster::show, "What holds for the whole cluster").gives::<cluster::ClusterView>(),
    admin!(PATCH "/cluster", cluster::patch, "Change the cluster's name, domain or default group").takes::<cluster::ClusterBody>().gives::<cluster::ClusterView>(),
    admin!(GET "/cluster/status", heads::status, "How all heads are, by their own word"),
    admin!(GET "/cluster/backup", cluster::backup, "A copy of the cluster's state, a database of SQLite").unhurried(),
    admin!(POST "/cluster/etcd", heads::move_to_etcd, "Move the cluster to etcd, which several heads share").unhurried(),
    admin!(GET "/heads", objects::list::<HeadSpec>, "The heads, once there are several").query(LISTS).gives::<Listed<HeadSpec>>(),
    admin!(GET "/head/{id}", objects::show::<HeadSpec>, "A head").gives::<Shown<HeadSpec>>(),
    admin!(DELETE "/head/{id}", heads::delete, "Take a head out of the cluster").query(&["force"]).unhurried(),
    admin!(GET "/files", files::list, "The boot files").query(&["name", "limit", "cursor"]),
    admin!(GET "/files/{*name}", files::show, "A boot file as it is stored"),
    admin!(PUT "/files/{*name}", files::put, "Store a boot file: the raw bytes are the body"),
    admin!(DELETE "/files/{*name}", files::delete, "Delete a boot file"),
    admin!(GET "/packages", packages::list, "The client packages").query(&["name", "version", "release", "arch", "type", "file", "limit", "cursor"]),
    admin!(GET "/packages/{id}", packages::show, "A client package, by its id"),
    admin!(POST "/packages/{id}/convert", packages::convert, "Make the tar of an rpm, unless it is there"),
    admin!(GET "/packages/{id}/{*name}", packages::show_file, "A client package, by its kind and file"),
    admin!(PUT "/packages/{id}/{*name}", packages::put, "Store a client package: the raw bytes are the body"),
    admin!(DELETE "/packages/{id}/{*name}", packages::delete, "Delete a client package"),
    admin!(GET "/ledger", ledger::list, "Who fetched what, newest first")
        .query(&["node", "since", "until", "status", "limit", "cursor", "after"])
        .gives::<Vec<crate::ledger::Entry>>(),
    admin!(GET "/render/kickstart/{*name}", render::kickstart, "What a node would get of a kickstart, and where each value comes from")
        .query(&["node"])
        .gives::<render::Preview>(),
    admin!(GET "/render/ignition", render::ignition, "The Ignition config a node would get, and where each value comes from").query(&["node"]).gives::<render::Preview>(),
    admin!(GET "/render/ztp", render::ztp, "The ZTP script a node would get, and where each value comes from")
        .query(&["node"])
        .gives::<render::Preview>(),
    admin!(GET "/check", check::get, "Renders every node's boot files and lists what would fail").gives::<check::Report>(),
];

/// What every list of objects takes beside filters by field.
const LISTS: &[&str] = &["limit", "cursor"];

/// The names in a path's pattern.
pub(crate) fn param_names(path: &'static str) -> &'static [&'static str] {
    match path.split_once('{') {
        Some((_, rest)) if rest.starts_with("id}") && rest.ends_with('}') && rest.len() > 3 => {
            &["id", "name"]
        }
        Some((_, rest)) if rest.starts_with("id}") => &["id"],
        Some(_) => &["name"],
        None => &[],
    }
}

/// Whether answers on this path are for nodes, which want bare text, even where no endpoint matches. The path may be as
/// the client wrote it.
pub(crate) fn is_for_nodes(path: &str) -> bool {
    let mut segments = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."));
    let under_base = BASE_PATH
        .split('/')
        .skip(1)
        .all(|part| segments.next() == Some(part));
    let boot_routes = ROUTES.iter().filter(|route| route.access == Access::Boot);
    let first = segments.next();
    under_base
        && boot_routes
            .map(|route| route.path.split('/').nth(1))
            .any(|known| known == first)
}
