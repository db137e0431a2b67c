//! The command line: what can be typed, and which module does it.

mod admin;
mod bootconfig;
mod butane;
mod check;
mod cluster;
mod config;
mod documents;
mod file;
mod gitrepo;
mod group;
mod head;
mod head_package;
mod init;
mod join;
mod ledger;
mod login;
mod node;
mod object;
mod output;
mod package;
mod password;
mod render;
mod serve;
mod store;
mod words;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use output::Output;

use crate::client::{Client, HeadAddress, Logins};
use crate::config::{Flags, Sources};
use crate::error::Error;

/// The head of a bare-metal cluster: serves boot files to nodes, and manages what they get.
#[derive(Debug, Parser)]
#[command(name = "pilotlight", version, max_term_width = 100)]
#[command(after_help = "\
Environment:
  PILOTLIGHT_HEAD     the head's URL, where --head is not given
  PILOTLIGHT_SOCKET   the head's local socket, where --socket is not given
  PILOTLIGHT_TOKEN    the access token to use instead of a stored login
  PILOTLIGHT_CA_FILE  the certificates to trust, where --ca-file is not given

Exit codes: 0 done; 1 the head refused, or something is not in order; 2 wrong usage; 3 no head was reached.

Examples:
  pilotlight demo
  pilotlight node create n4 mac=52:54:00:aa:00:04 ip=10.0.0.4")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    /// The head's URL [env: PILOTLIGHT_HEAD]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        conflicts_with = "socket",
        help_heading = "Global options"
    )]
    head: Option<HeadAddress>,
    /// The head's local socket [env: PILOTLIGHT_SOCKET] [default: that of the head on this machine]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    socket: Option<PathBuf>,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PILOTLIGHT_CA_FILE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    ca_file: Option<PathBuf>,
    /// Print JSON, as the API answers
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Print only what was asked for: of a new object, its UID
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    quiet: bool,
    /// Say what is asked of the head; with `serve`, log at level debug
    #[arg(short, long, global = true, help_heading = "Global options")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(serve::Demo),
    Init(init::Init),
    Join(join::Join),
    #[command(flatten)]
    Asking(Asking),
    Butane(butane::Butane),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Store(store::Store),
    Completions(documents::Completions),
    #[command(hide = true)]
    HeadPackage(head_package::HeadPackage),
    Man(documents::Man),
}

/// The commands that ask a head.
#[derive(Debug, Subcommand)]
enum Asking {
    #[command(subcommand)]
    Node(node::Node),
    #[command(subcommand)]
    Group(group::Group),
    #[command(subcommand)]
    Bootconfig(bootconfig::Bootconfig),
    #[command(subcommand)]
    Gitrepo(gitrepo::Gitrepo),
    #[command(subcommand)]
    File(file::File),
    #[command(subcommand)]
    Package(package::Package),
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    #[command(subcommand)]
    Head(head::Head),
    #[command(subcommand)]
    Render(render::Render),
    Check(check::Check),
    Ledger(ledger::Ledger),
    Login(login::Login),
    Logout(login::Logout),
    Token(login::Token),
}

/// What a command needs to ask a head.
pub(crate) struct Session {
    /// The head.
    pub(crate) client: Client,
    /// Where results go.
    pub(crate) output: Output,
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// Whatever ends the command; [`Error::exit_code`] has its exit code.
    pub(crate) fn run(self) -> Result<(), Error> {
        let Self { global, command } = self;
        match command {
            Command::Serve(serve) => serve.run(global.verbose),
            Command::Demo(demo) => demo.run(),
            Command::Init(init) => init.run(global.output()),
            Command::Join(join) => join.run(global),
            Command::Butane(butane) => butane.run(global.output()),
            Command::Config(config) => config.run(global.output()),
            Command::Store(store) => store.run(global),
            Command::Completions(completions) => completions.run(global.output()),
            Command::HeadPackage(head_package) => head_package.run(global.output()),
            Command::Man(man) => man.run(global.output()),
            Command::Asking(asking) => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(anyhow::Error::from)?;
                runtime.block_on(asking.run(&mut global.session()?))
            }
        }
    }
}

impl Asking {
    async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::Node(node) => node.run(session).await,
            Self::Group(group) => group.run(session).await,
            Self::Bootconfig(bootconfig) => bootconfig.run(session).await,
            Self::Gitrepo(gitrepo) => gitrepo.run(session).await,
            Self::File(file) => file.run(session).await,
            Self::Package(package) => package.run(session).await,
            Self::Admin(admin) => admin.run(session).await,
            Self::Cluster(cluster) => cluster.run(session).await,
            Self::Head(head) => head.run(session).await,
            Self::Render(render) => render.run(session).await,
            Self::Check(check) => check.run(session).await,
            Self::Ledger(ledger) => ledger.run(session).await,
            Self::Login(login) => login.run(session).await,
            Self::Logout(logout) => logout.run(session).await,
            Self::Token(token) => token.run(session).await,
        }
    }
}

impl Global {
    fn output(&self) -> Output {
        Output::to_stdout(self.json, self.quiet)
    }

    fn session(self) -> Result<Session, Error> {
        let output = self.output();
        let token = environment("PILOTLIGHT_TOKEN");
        let verbose = self.verbose;
        let ca_file = self.ca_file.clone();
        let client = Client::new(
            self.head()?,
            ca_file,
            token,
            Logins::of_this_user(),
            verbose,
        );
        Ok(Session { client, output })
    }

    /// The head meant: by flag, by environment, or the one on this machine.
    fn head(self) -> Result<HeadAddress, Error> {
        // clap sees the conflict only where both stand on the same side of the command.
        if self.head.is_some() && self.socket.is_some() {
            return Err(Error::Usage(
                "--head and --socket are given; one names the head".to_owned(),
            ));
        }
        if let Some(head) = self.head {
            return Ok(head);
        }
        if let Some(socket) = self.socket {
            return Ok(HeadAddress::Socket(socket));
        }
        if let Some(url) = environment("PILOTLIGHT_HEAD") {
            return url
                .parse()
                .map_err(|reason| Error::Usage(format!("PILOTLIGHT_HEAD: {reason}")));
        }
        if let Some(socket) = environment("PILOTLIGHT_SOCKET") {
            return Ok(HeadAddress::Socket(socket.into()));
        }
        if let Some(service) = HeadAddress::of_service() {
            return Ok(service);
        }
        let data = Sources::gather(None, Flags::default())?
            .load()
            .settings
            .data;
        HeadAddress::in_data(&data).ok_or(Error::NoHead)
    }
}

fn environment(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
