//! What holds of every file, as a Debian package.

use package::deb;

/// Panics where it does not hold.
pub(crate) fn hold(package: &[u8]) {
    let Ok(deb) = deb::read(package) else {
        return;
    };
    let beginning = deb::read_control(package).map(|deb| deb.identity);
    assert!(
        beginning.is_ok_and(|identity| identity == deb.identity),
        "the beginning says the same as all of it"
    );
    let fields: String = deb.control.fields().map(|field| field.text).collect();
    assert_eq!(fields, deb.control.as_str(), "all is in some field");
    assert_eq!(
        deb.control.as_str().parse(),
        Ok(deb.control),
        "one paragraph stays one"
    );
    let identity = deb.identity;
    assert_eq!(identity.version.to_string().parse(), Ok(identity.version));
    assert!(!identity.name.as_str().contains('/'));
}
