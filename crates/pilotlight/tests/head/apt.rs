//! apt on a machine whose root is a directory.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes a machine of `directory`, on which nothing is installed and whose packages come from `source`, a line of
/// `sources.list`. Its root is `root`.
pub(crate) fn make_apt_machine(directory: &Path, source: &str) {
    let at = |name: &str| directory.join(name);
    for name in [
        "etc/apt.conf.d",
        "etc/preferences.d",
        "etc/trusted.gpg.d",
        "state/lists/partial",
        "cache/archives/partial",
        "log",
        "root/var/lib/dpkg/info",
        "root/var/lib/dpkg/updates",
    ] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("root/var/lib/dpkg/status"), "").unwrap();
    fs::write(at("etc/sources.list"), source).unwrap();
    let home = directory.display();
    let configuration = format!(
        "Dir::Etc \"{home}/etc\";\nDir::State \"{home}/state\";\nDir::Cache \"{home}/cache\";\n\
         Dir::Log \"{home}/log\";\nDir::State::status \"{home}/root/var/lib/dpkg/status\";\n\
         DPkg::Options {{ \"--root={home}/root\"; \"--log=/dev/null\"; }};\n\
         DPkg::Path \"/usr/sbin:/usr/bin:/sbin:/bin\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::Retries \"3\";\nAcquire::http::Proxy \"DIRECT\";\n"
    );
    fs::write(at("apt.conf"), configuration).unwrap();
}

/// apt-get, on the machine of this directory.
pub(crate) fn apt_get(directory: &Path, arguments: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("APT_CONFIG", directory.join("apt.conf"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments);
    apt
}
