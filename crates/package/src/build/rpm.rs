//! RPM packages, of version 4 of the format, which every rpm in use can read.

use rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};

use super::{BuildError, Contents, Member, scriptlets::first_of};

pub(super) fn build(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    let config = BuildConfig::v4()
        .compression(CompressionWithLevel::Gzip(9))
        // It would be room for signatures.
        .reserved_space(None)
        .source_date(contents.modified);
    let mut package = PackageBuilder::new(
        contents.name,
        contents.version,
        contents.license,
        "noarch",
        contents.summary,
    );
    package
        .using_config(config)
        .release(contents.release)
        .description(contents.description.trim_end())
        .packager(contents.maintainer);
    for member in &contents.members {
        add(&mut package, member)?;
    }
    add_scriptlets(&mut package, contents);
    let mut bytes = Vec::new();
    package.build()?.write(&mut bytes)?;
    Ok(bytes)
}

fn add(package: &mut PackageBuilder, member: &Member<'_>) -> Result<(), BuildError> {
    match *member {
        Member::Directory { path, mode } => {
            package.with_dir_entry(FileOptions::dir(path).permissions(mode))?;
        }
        Member::File {
            path,
            mode,
            bytes,
            config,
        } => {
            let mut options = FileOptions::new(path).permissions(mode);
            if config {
                options = options.config().noreplace();
            }
            package.with_file_contents(bytes, options)?;
            if bytes.starts_with(b"#!/bin/sh\n") {
                package.requires(Dependency::any("/bin/sh"));
            }
        }
        Member::Symlink { path, target } => {
            package.with_symlink(FileOptions::symlink(path, target))?;
        }
    }
    Ok(())
}

/// `$1` is how many versions of the package there will be.
fn add_scriptlets(package: &mut PackageBuilder, contents: &Contents<'_>) {
    let scriptlets = &contents.scriptlets;
    let (first, further, last) = (
        r#"[ "$1" -eq 1 ]"#,
        r#"[ "$1" -gt 1 ]"#,
        r#"[ "$1" -eq 0 ]"#,
    );
    let installed = first_of([
        (first, scriptlets.after_install),
        (further, scriptlets.after_upgrade),
    ]);
    if let Some(script) = installed {
        package.post_install_script(script);
    }
    if let Some(script) = first_of([(last, scriptlets.before_removal)]) {
        package.pre_uninstall_script(script);
    }
    if let Some(script) = first_of([(last, scriptlets.after_purge)]) {
        package.post_uninstall_script(script);
    }
}
