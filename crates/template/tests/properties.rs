//! Property tests of the language.

mod laws;

use proptest::{collection::vec, prelude::*, sample::select};
use template::{Dictionary, Form, Template};

/// What forms are made of, and what stands around them in boot files.
const FRAGMENTS: [&[u8]; 44] = [
    b"<",
    b">",
    b"[",
    b"]",
    b"(",
    b")",
    b"|",
    b"\\",
    b"\n",
    b"\r\n",
    b" ",
    b"\0",
    b"\xff",
    b"a",
    b"attributes",
    b"h",
    b"hardware",
    b"s",
    b"status",
    b"n",
    b"node",
    b"head",
    b"root_url()",
    b"base_url()",
    b"include(",
    b"x",
    b"ip",
    b"rootpw",
    b"9",
    b".",
    b"-",
    b"_",
    b"<a[",
    b"]>",
    b"<a[x]>",
    b"<n[ip]|",
    b"<h[0.x]>",
    b"<<EOF",
    b"<html>",
    b"<include(f)>",
    b"<root_url()>",
    b"\\<a[ip]>",
    "é".as_bytes(),
    b"$6$salt",
];

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&FRAGMENTS[..]), 0..40).prop_map(|fragments| fragments.concat())
}

fn dictionary() -> impl Strategy<Value = Dictionary> {
    use Dictionary::{Attributes, Hardware, Head, Node, Status};
    select(vec![Attributes, Hardware, Status, Node, Head])
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_bytes(source in vec(any::<u8>(), 0..400)) {
        laws::hold(&source);
    }

    #[test]
    fn the_laws_hold_for_what_is_nearly_a_form(source in fragments()) {
        laws::hold(&source);
    }

    #[test]
    fn a_form_is_parsed_to_what_it_displays(dictionary in dictionary(), name in "[A-Za-z_][A-Za-z0-9_]{0,20}") {
        for form in [Form::Value { dictionary, name: &name }, Form::RootUrl, Form::BaseUrl] {
            let template = Template::parse("file", form.to_string().into());
            let parsed: Vec<_> = template.references().map(|reference| reference.form).collect();
            prop_assert_eq!(parsed, [form]);
        }
    }
}
