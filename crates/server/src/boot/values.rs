//! [`NodeValues`]: where the forms of a boot file get their values from.

use std::{borrow::Cow, cell::Cell, net::IpAddr, sync::Arc};

use content::FileName;
use model::{ClusterState, Node};
use template::{Dictionary, Form, IncludeError, Lookup, Template, Values};

use crate::{base_url, call::Call, head::Head, reports::Status};

/// The values for one asker at one moment.
pub(crate) struct NodeValues {
    pub head: Arc<Head>,
    pub state: Arc<ClusterState>,
    /// The node the file is for, if it is known.
    pub node: Option<Arc<Node>>,
    /// The address that asks, for the reason when no node has it.
    pub address: Option<IpAddr>,
    /// The address of this head that the client used.
    pub head_ip: IpAddr,
    pub base_url: String,
    /// Whether included files may be read from disk, which blocks.
    may_read: bool,
    /// Whether an included file would have had to be read.
    must_read: Cell<bool>,
}

impl NodeValues {
    pub(crate) fn of_call(call: &Call) -> Self {
        Self::new(
            call,
            call.asker.as_ref().map(|asker| Arc::clone(&asker.node)),
        )
    }

    /// The values for a node, on behalf of an administrator.
    pub(crate) fn for_node(call: &Call, node: Arc<Node>) -> Self {
        Self::new(call, Some(node))
    }

    fn new(call: &Call, node: Option<Arc<Node>>) -> Self {
        Self {
            head: Arc::clone(&call.head),
            state: Arc::clone(&call.state),
            node,
            address: call.address,
            head_ip: call.head_ip(),
            base_url: call.base_url(),
            may_read: false,
            must_read: Cell::new(false),
        }
    }

    /// The same values where blocking is allowed.
    pub(crate) fn reading(self) -> Self {
        Self {
            may_read: true,
            must_read: Cell::new(false),
            ..self
        }
    }

    pub(crate) fn must_read(&self) -> bool {
        self.must_read.get()
    }

    /// Whom the values belong to.
    pub(crate) fn whose(&self) -> Cow<'_, str> {
        match &self.node {
            Some(node) => format!("node {}", node.name).into(),
            None => "the asker".into(),
        }
    }

    /// Why there is no node.
    pub(crate) fn nobody(&self) -> String {
        match self.address {
            Some(address) => format!("no node has address {address}"),
            None => "no node asks on the local socket".into(),
        }
    }

    fn of_node<'a>(
        &'a self,
        dictionary: Dictionary,
        node: &'a Node,
        name: &str,
    ) -> Option<Cow<'a, str>> {
        match dictionary {
            Dictionary::Attributes => self
                .state
                .attribute(node, name)
                .map(|(value, _)| value.into()),
            Dictionary::Hardware => node.hardware_key(name),
            Dictionary::Status => {
                let status = Status::of(&self.head.reports, &self.state, node);
                Some(status.get(name)?.into_owned().into())
            }
            Dictionary::Node => node.field(
                name,
                self.state
                    .cluster()
                    .domain
                    .as_ref()
                    .map(|domain| domain.as_str()),
            ),
            Dictionary::Head => self.of_head(name),
        }
    }

    fn of_head(&self, name: &str) -> Option<Cow<'_, str>> {
        let settings = &self.head.settings;
        Some(match name {
            "lang" => settings.lang.as_str().into(),
            "keymap" => settings.keymap.as_str().into(),
            "timezone" => settings.timezone.as_str().into(),
            "name" => settings.name.as_str().into(),
            "ip" => self.head_ip.to_string().into(),
            "base_url" => self.base_url.as_str().into(),
            _ => return None,
        })
    }

    fn root_url(&self, node: &Node) -> Option<String> {
        let boot_config = self.state.boot_config(node)?;
        Some(base_url::absolute(
            &self.base_url,
            boot_config.repo.as_deref()?,
        ))
    }
}

impl Values for NodeValues {
    fn look_up(&self, form: Form<'_>) -> Lookup<'_> {
        let value = match (form, &self.node) {
            (
                Form::Value {
                    dictionary: Dictionary::Head,
                    name,
                },
                _,
            ) => self.of_head(name),
            (Form::BaseUrl, _) => Some(self.base_url.as_str().into()),
            (_, None) => return Lookup::NoNode,
            (Form::Value { dictionary, name }, Some(node)) => self.of_node(dictionary, node, name),
            (Form::RootUrl, Some(node)) => self.root_url(node).map(Cow::Owned),
        };
        value.map_or(Lookup::Missing, Lookup::Value)
    }

    fn include(&self, name: &str) -> Result<Arc<Template>, IncludeError> {
        let name = FileName::parse(name.as_bytes())
            .map_err(|error| IncludeError::Failed(Box::new(error)))?;
        let files = &self.head.boot_files;
        let file = match files.try_cached(&name) {
            Some(file) => file,
            None if self.may_read => files.load(&name).map_err(|error| match error {
                content::ContentError::NotFound { .. } => IncludeError::NotFound,
                error => IncludeError::Failed(Box::new(error)),
            })?,
            None => {
                self.must_read.set(true);
                return Err(IncludeError::NotFound);
            }
        };
        Ok(Arc::clone(&file.template))
    }

    fn subject(&self) -> Cow<'_, str> {
        self.whose()
    }
}
