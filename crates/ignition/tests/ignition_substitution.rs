//! Values in the texts of configs: they arrive whole, and nothing else changes.
#![allow(clippy::unwrap_used)]

mod laws;

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ignition::{Config, Diagnostic, Path, Prepared, RenderError, Severity};
use laws::{FORM, find, render, replace};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config(sections: &Value) -> Value {
    let mut config = json!({"ignition": {"version": "3.3.0"}});
    for (key, section) in sections.as_object().unwrap() {
        match config.get_mut(key).and_then(Value::as_object_mut) {
            Some(present) => present.extend(section.as_object().unwrap().clone()),
            None => config[key] = section.clone(),
        }
    }
    config
}

fn prepare(config: &Value) -> Prepared<Vec<u8>> {
    Prepared::parse(config.to_string().as_bytes(), &find).unwrap()
}

fn rendered(config: &Value, value: &[u8]) -> Value {
    serde_json::from_slice(&render(&prepare(config), value).unwrap().text).unwrap()
}

fn url(contents: &[u8]) -> String {
    format!("data:;base64,{}", STANDARD.encode(contents))
}

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut contents = Vec::new();
    GzDecoder::new(compressed)
        .read_to_end(&mut contents)
        .unwrap();
    contents
}

/// What a URL that we wrote holds.
fn held(url: &Value) -> Vec<u8> {
    let url = url.as_str().unwrap();
    match url.strip_prefix("data:;base64,") {
        Some(data) => STANDARD.decode(data).unwrap(),
        None => {
            let mut parts = url.strip_prefix("data:,").unwrap().split('%');
            let mut bytes = parts.next().unwrap().as_bytes().to_vec();
            for part in parts {
                bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            bytes
        }
    }
}

#[test]
fn texts_and_contents_are_filled() {
    let config = config(&json!({
        "systemd": {"units": [{"name": "<v>.service", "contents": "[Unit]\nDescription=<v>\n"}]},
        "storage": {"files": [
            {"path": "/etc/hostname", "contents": {"source": "data:,%3Cv%3E%0A"}},
            {"path": "/etc/b", "contents": {"source": url(b"is <v>")}, "append": [{"source": "http://head/<v>"}]},
            {"path": "/etc/c", "contents": {"source": url(&gzip(b"is <v>")), "compression": "gzip"}},
            {"path": "/etc/d", "contents": {"source": "data:,plain"}},
            {"path": "/etc/e", "contents": {"source": "data:,is <v>"}},
        ]},
    }));
    let rendered = rendered(&config, b"n001");
    assert_eq!(rendered["systemd"]["units"][0]["name"], "n001.service");
    assert_eq!(
        rendered["systemd"]["units"][0]["contents"],
        "[Unit]\nDescription=n001\n"
    );
    let files = &rendered["storage"]["files"];
    assert_eq!(held(&files[0]["contents"]["source"]), b"n001\n");
    assert_eq!(held(&files[1]["contents"]["source"]), b"is n001");
    assert_eq!(files[1]["append"][0]["source"], "http://head/n001");
    assert_eq!(gunzip(&held(&files[2]["contents"]["source"])), b"is n001");
    assert_eq!(held(&files[4]["contents"]["source"]), b"is n001");
    assert_eq!(files[3], config["storage"]["files"][3]);
}

#[test]
fn what_holds_no_form_is_sent_to_the_byte() {
    let text = b"{ \"ignition\": {\"version\": \"3.0.0\"}, \"<v>\": [1.50, 2] }\n";
    let prepared = Prepared::parse(text, &find).unwrap();
    assert!(prepared.is_constant());
    assert_eq!(render(&prepared, b"x").unwrap().text, &text[..]);
}

#[test]
fn other_bytes_than_text_need_a_url() {
    let in_text =
        config(&json!({"systemd": {"units": [{"name": "a.service", "contents": "#<v>"}]}}));
    let error = render(&prepare(&in_text), b"\xff").unwrap_err();
    assert_eq!(
        error.to_string(),
        "$.systemd.units[0].contents: what is put in here is not UTF-8"
    );
    let in_url = config(
        &json!({"storage": {"files": [{"path": "/a", "contents": {"source": "data:,%3Cv%3E"}}]}}),
    );
    assert_eq!(
        held(&rendered(&in_url, b"\xff\0")["storage"]["files"][0]["contents"]["source"]),
        b"\xff\0"
    );
}

#[test]
fn what_a_client_could_not_read_is_refused() {
    let merged = |inner: &str| {
        config(&json!({"ignition": {
            "version": "3.3.0", "config": {"merge": [{"source": url(inner.as_bytes())}]}
        }}))
    };
    let file = |contents: Value| {
        config(&json!({"storage": {"files": [{"path": "/a", "contents": contents}]}}))
    };
    let whole = json!({"ignition": {"version": "3.0.0"}}).to_string();
    prepare(&merged(&whole));
    let relative = json!({"ignition": {"version": "3.0.0"}, "storage": {"files": [{"path": "a"}]}});
    let four_deep = (0..4).fold(whole, |inner, _| merged(&inner).to_string());
    for (config, message) in [
        (merged("not JSON"), "not JSON"),
        (merged(""), "empty"),
        (merged(&relative.to_string()), "not absolute"),
        (
            serde_json::from_str(&four_deep).unwrap(),
            "more than 3 deep",
        ),
        (
            file(json!({"source": "data:,plain", "compression": "gzip"})),
            "not gzip",
        ),
    ] {
        let found = Prepared::parse(config.to_string().as_bytes(), &find).unwrap_err();
        assert!(
            found.iter().any(|found| found.message.contains(message)),
            "{message}: {found:?}"
        );
    }
}

#[test]
fn a_hash_of_what_differs_is_refused() {
    let file = |contents: Value| {
        config(&json!({"storage": {"files": [{"path": "/a", "contents": contents}]}}))
    };
    let hash = json!({"hash": format!("sha512-{}", "0".repeat(128))});
    let covered = file(json!({"source": "data:,%3Cv%3E", "verification": hash})).to_string();
    let found = Prepared::parse(covered.as_bytes(), &find).unwrap_err();
    assert_eq!(
        found[0].path.as_ref().unwrap().to_string(),
        "$.storage.files[0].contents.verification.hash"
    );
    assert!(found[0].message.contains("leave it out"));
    // What is fetched from elsewhere may well be known.
    prepare(&file(
        json!({"source": "http://head/<v>", "verification": hash}),
    ));
}

#[test]
fn values_may_mend_a_config_and_break_it() {
    let config = config(&json!({"storage": {"disks": [{"device": "<v>"}]}}));
    assert!(Config::parse(config.to_string().as_bytes()).is_err());
    assert_eq!(
        rendered(&config, b"/dev/sda")["storage"]["disks"][0]["device"],
        "/dev/sda"
    );
    let error = render(&prepare(&config), b"sda").unwrap_err();
    let RenderError::Invalid(found) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        found[0].path.as_ref().unwrap().to_string(),
        "$.storage.disks[0].device"
    );
    assert!(error.to_string().contains("$.storage.disks[0].device"));
    // Nor is it sent as it is.
    assert!(prepare(&config).render::<()>(&mut |_| Ok(None)).is_err());
}

#[test]
fn a_value_in_a_unit_is_held_to_the_rules_of_units() {
    let unit = |contents: &str| {
        let unit = json!({"name": "a.service", "enabled": true, "contents": contents});
        prepare(&config(&json!({"systemd": {"units": [unit]}})))
    };
    let service = unit("[Service]\nExecStart=/bin/<v>\n[Install]\nWantedBy=multi-user.target\n");
    assert_eq!(render(&service, b"true").unwrap().warnings.len(), 0);
    let RenderError::Invalid(found) = render(&service, b"true\nno option").unwrap_err() else {
        panic!("a line that is no option was taken");
    };
    let path = found[0].path.as_ref().unwrap().to_string();
    assert_eq!(path, "$.systemd.units[0].contents");
    let installable = unit("[Service]\nExecStart=/bin/true\n<v>");
    let install = b"[Install]\nWantedBy=multi-user.target\n";
    assert_eq!(render(&installable, install).unwrap().warnings.len(), 0);
    assert_eq!(render(&installable, b"").unwrap().warnings.len(), 1);
}

#[test]
fn each_text_is_looked_at_in_its_place() {
    let inner = config(&json!({"systemd": {"units": [{"name": "a.service", "contents": "<v>"}]}}));
    let merged = json!([{"source": url(inner.to_string().as_bytes())}]);
    let outer = config(&json!({"ignition": {"version": "3.3.0", "config": {"merge": merged}}}));
    let text = outer.to_string();
    let find = |path: &Path, text: &[u8]| (text == FORM).then(|| path.to_string());
    let prepared = Prepared::parse(text.as_bytes(), &find).unwrap();
    let mut places = Vec::new();
    let fill = &mut |place: &String| {
        places.push(place.clone());
        Ok::<_, ()>(None)
    };
    prepared.render(fill).unwrap();
    let place = "$.ignition.config.merge[0].source.systemd.units[0].contents";
    assert_eq!(places, [place]);
}

#[test]
fn a_config_within_a_config_keeps_its_structure() {
    let inner = config(&json!({"systemd": {"units": [{"name": "a.service", "contents": "#<v>"}]}}));
    let outer = config(
        &json!({"ignition": {"config": {"merge": [{"source": url(inner.to_string().as_bytes())}]}}}),
    );
    let outer_with_value = rendered(&outer, b"\"}]},\n");
    let inner_with_value: Value = serde_json::from_slice(&held(
        &outer_with_value["ignition"]["config"]["merge"][0]["source"],
    ))
    .unwrap();
    assert_eq!(
        inner_with_value["systemd"]["units"][0]["contents"],
        "#\"}]},\n"
    );

    let error = prepare(&outer)
        .render(&mut |_| Err("no such value"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "$.ignition.config.merge[0].source.systemd.units[0].contents: no such value"
    );

    let broken = json!({"config": {"merge": [{"source": url(b"{\"ignition\": <v>}")}]}});
    let broken = config(&json!({"ignition": broken})).to_string();
    let found = Prepared::parse(broken.as_bytes(), &find).unwrap_err();
    assert_eq!(
        found[0].path.as_ref().unwrap().to_string(),
        "$.ignition.config.merge[0].source"
    );
}

/// Any JSON, with forms in many of its texts and keys.
fn anything() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("<v>".to_string()),
        "[a-z<>v\"\\\\ü]{0,6}",
        "data:,%3Cv%3E[a-z]{0,3}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let key = prop_oneof![
            Just("source".to_string()),
            Just("contents".to_string()),
            text.clone()
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same with values, done the obvious way.
fn fill(value: &mut Value, with: &str, key: &str) {
    match value {
        Value::String(url) if key == "source" && url.starts_with("data:,%3Cv%3E") => {
            let contents = replace(
                url.replace("data:,%3Cv%3E", "<v>").as_bytes(),
                with.as_bytes(),
            );
            *url = String::from_utf8(contents).unwrap();
        }
        Value::String(text) => {
            *text = String::from_utf8(replace(text.as_bytes(), with.as_bytes())).unwrap();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, with, "")),
        Value::Object(map) => map
            .iter_mut()
            .for_each(|(key, value)| fill(value, with, key)),
        _ => {}
    }
}

/// With what URLs hold in their place.
fn open(value: &mut Value, key: &str) {
    match value {
        Value::String(url) if key == "source" && url.starts_with("data:") => {
            *url = String::from_utf8(held(&json!(url))).unwrap();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| open(item, "")),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| open(value, key)),
        _ => {}
    }
}

/// What was found, wherever in the text.
fn said(found: &[Diagnostic]) -> Vec<(Severity, Option<Path>, &str)> {
    found
        .iter()
        .map(|found| (found.severity, found.path.clone(), found.message.as_str()))
        .collect()
}

proptest! {
    #[test]
    fn values_change_texts_and_nothing_else(odd in anything(), value in any::<String>()) {
        let config = config(&json!({"odd": {"odd": odd}}));
        let mut expected = config.clone();
        fill(&mut expected, &value, "");
        open(&mut expected, "");
        let mut rendered = rendered(&config, value.as_bytes());
        open(&mut rendered, "");
        prop_assert_eq!(rendered, expected);
    }

    #[test]
    fn what_is_rendered_is_valid_exactly_if_a_config_of_that_text_is(
        path in "/?[a-z/.]{0,4}<v>", unit in "[a-z@\\[]{0,3}<v>(\\.service)?", source in "(data:,|http://)(%3Cv%3E|<v>)?", merged in "data:,|http://(<v>)?",
        value in prop_oneof![Just(String::new()), "[a-z/.@:%\\[ ]{0,5}"],
    ) {
        let config = config(&json!({
            "storage": {"files": [{"path": path, "contents": {"source": source}}, {"path": "/<v>"}], "links": [{"path": "/l", "target": "<v>"}]},
            "ignition": {"config": {"merge": [{"source": merged}]}},
            "systemd": {"units": [{"name": unit, "contents": unit}]},
        }));
        let Ok(prepared) = Prepared::parse(config.to_string().as_bytes(), &find) else { return Ok(()) };
        let mut filled = config;
        fill(&mut filled, &value, "");
        if let Some("%3Cv%3E" | "<v>") = source.strip_prefix("data:,") {
            filled["storage"]["files"][0]["contents"]["source"] = json!(url(value.as_bytes()));
        }
        match (render(&prepared, value.as_bytes()), Config::parse(filled.to_string().as_bytes())) {
            (Ok(rendered), Ok(checked)) => prop_assert_eq!(said(&rendered.warnings), said(checked.warnings())),
            (Err(RenderError::Invalid(found)), Err(checked)) => prop_assert_eq!(said(&found), said(&checked)),
            (rendered, checked) => prop_assert!(false, "{rendered:?} but {checked:?}"),
        }
    }

    #[test]
    fn the_laws_hold_of_anything(odd in anything(), cut in any::<prop::sample::Index>()) {
        let text = config(&json!({"storage": odd.as_object().map_or(json!({}), |_| odd.clone())})).to_string();
        laws::hold(text.as_bytes());
        laws::hold(&text.as_bytes()[..cut.index(text.len())]);
    }
}

#[test]
fn the_form_is_what_the_tests_take_it_for() {
    assert_eq!(replace(b"a<v>b<v", b"x"), b"axb<v");
    assert!(laws::has_form(FORM));
}
