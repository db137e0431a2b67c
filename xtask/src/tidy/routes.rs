//! Endpoints exist in the table of routes, and nowhere else.

use super::{
    Finding,
    rust_source::{self, Code},
};
use crate::repository::Repository;

const TABLE: &str = "crates/server/src/routes.rs";
const ROUTER: &str = "crates/server/src/service.rs";
const DOCUMENT: &str = "crates/server/src/openapi.rs";

/// A function that answers a call is named in the table.
pub(super) fn check_handlers(repository: &Repository) -> Vec<Finding> {
    let Some(table) = repository.file(TABLE) else {
        return vec![Finding::new(
            TABLE,
            1,
            "there is no table of routes: tell tidy where it is",
        )];
    };
    let table = Code::of(&table.text).text;
    let mut findings = Vec::new();
    let sources = repository
        .ending(".rs")
        .filter(|file| file.path.starts_with("crates/server/src/"));
    for file in sources.filter(|file| file.path != TABLE) {
        let module = file
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        let code = Code::of(&file.text).without_tests();
        for (offset, name) in handlers(&code.text) {
            let handler = format!("{module}::{name}");
            let is_routed = rust_source::occurrences(&table, &handler).any(|at| {
                let after = &table[at + handler.len()..];
                !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if !is_routed {
                let message = format!(
                    "{handler} answers calls that never come: give it a line in {TABLE}, or make it private"
                );
                findings.push(Finding::new(&file.path, code.line(offset), message));
            }
        }
    }
    findings
}

/// The functions that others may give a call, and nothing else: `pub(crate) async fn NAME<…>(…: &mut Call)`.
fn handlers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    const BEGIN: &str = "pub(crate) async fn ";
    rust_source::occurrences(code, BEGIN).filter_map(|at| {
        let signature = &code[at + BEGIN.len()..];
        let (before, after) = signature.split_once('(')?;
        let (parameters, _) = after.split_once(')')?;
        let name = before.split('<').next()?;
        (parameters.ends_with("Call") && !parameters.contains(',')).then_some((at, name))
    })
}

/// Requests are dispatched from the table, and the description is made from it.
pub(super) fn check_router(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = repository
        .ending(".rs")
        .filter(|file| file.path.starts_with("crates/"));
    for file in sources.filter(|file| file.path != ROUTER) {
        let code = Code::of(&file.text).without_tests();
        for offset in rust_source::occurrences(&code.text, "Router::new") {
            let message = format!("a second router: put the endpoint into {TABLE}");
            findings.push(Finding::new(&file.path, code.line(offset), message));
        }
    }
    let made_from_it = [
        (
            ROUTER,
            "for route in ROUTES",
            "requests are no longer dispatched by the table",
        ),
        (
            ROUTER,
            "fn every_route_can_be_reached",
            "the test that each route can be reached is gone",
        ),
        (
            DOCUMENT,
            "for route in ROUTES",
            "the OpenAPI document is no longer made from the table",
        ),
        (
            DOCUMENT,
            "fn every_route_is_described_with_its_access",
            "the test that each route is described is gone",
        ),
    ];
    for (path, code, message) in made_from_it {
        if !repository
            .file(path)
            .is_some_and(|file| file.text.contains(code))
        {
            findings.push(Finding::new(
                path,
                1,
                format!("{message} (`{code}`): bring it back, or tell tidy its new name"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_needs_a_route() {
        let repository = Repository::of(&[
            (
                TABLE,
                "admin!(GET \"/x\", nodes::list::<X>, \"\"), // nodes::hidden\nadmin!(GET \"/y\", nodes::shown, \"\")",
            ),
            (
                "crates/server/src/manage/nodes.rs",
                "pub(crate) async fn list<R: X>(call: &mut Call) {}\n\
                 pub(crate) async fn hidden(_: &Call) {}\n\
                 pub(crate) async fn show(call: &mut Call) {}\n\
                 pub(crate) async fn part(call: &mut Call, more: u8) {}\n\
                 async fn private(call: &mut Call) {}\n",
            ),
        ]);
        let lines: Vec<_> = check_handlers(&repository)
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn there_is_one_router() {
        let table = "for route in ROUTES {} fn every_route_can_be_reached fn every_route_is_described_with_its_access";
        let good = [(ROUTER, table), (DOCUMENT, table)];
        assert!(check_router(&Repository::of(&good)).is_empty());
        let beside = ("crates/server/src/metrics.rs", "\nlet r = Router::new();");
        let findings = check_router(&Repository::of(&[good[0], good[1], beside]));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(check_router(&Repository::of(&good[..1])).len(), 2);
    }
}
