//! `GET /openapi.json`: the API's description, made from the table of routes.

use http::Response;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{
    Error,
    base_url::BASE_PATH,
    call::Call,
    reply::{self, Body},
    routes::{self, Access, ROUTES, Route},
};

/// `GET /openapi.json`
pub(crate) async fn get(_: &mut Call) -> Result<Response<Body>, Error> {
    Ok(reply::json(http::StatusCode::OK, &document()))
}

/// The OpenAPI 3.1 document of every route.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths
            .entry(route.path.replace("{*", "{"))
            .or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pilotlight",
            "description": "The boot-time head node for bare-metal clusters.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": BASE_PATH}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    let in_path = routes::param_names(route.path).iter().map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    );
    let in_query = route
        .query
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
    let mut operation = json!({
        "summary": route.summary,
        "x-access": match route.access {
            Access::Public => "public",
            Access::Boot => "boot",
            Access::Node => "node",
            Access::Admin => "admin",
        },
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(route, generator),
    });
    if route.access == Access::Admin {
        operation["security"] = json!([{"token": []}]);
    }
    if let Some(takes) = route.takes {
        operation["requestBody"] =
            json!({"content": {"application/json": {"schema": takes(generator)}}});
    }
    operation
}

fn responses(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    if route.access == Access::Boot {
        let text = json!({"text/plain": {"schema": {"type": "string"}}});
        return json!({
            "200": {"description": "The file", "content": text},
            "404": {"description": "There is none for this node; the reason as one line of text", "content": text},
            "422": {"description": "It lacks a value for this node; the reason as one line of text", "content": text},
            "503": {"description": "Not now; Retry-After says when", "content": text},
        });
    }
    let mut envelope = json!({"type": "object", "properties": {"success": {"const": true}}, "required": ["success"]});
    if let Some(gives) = route.gives {
        envelope["properties"]["data"] = gives(generator).to_value();
    }
    let failure = json!({
        "type": "object",
        "properties": {"success": {"const": false}, "reason": {"type": "string"}},
        "required": ["success", "reason"],
    });
    json!({
        "2XX": {"description": "Done", "content": {"application/json": {"schema": envelope}}},
        "default": {"description": "Not done; the reason", "content": {"application/json": {"schema": failure}}},
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_with_its_access() {
        let document = document();
        for route in ROUTES {
            let operation = &document["paths"][route.path.replace("{*", "{")]
                [route.method.as_str().to_ascii_lowercase()];
            assert!(
                operation["x-access"].is_string(),
                "{} {}",
                route.method,
                route.path
            );
            assert_eq!(
                operation["security"].is_array(),
                route.access == Access::Admin,
                "{}",
                route.path
            );
            assert!(
                !route.summary.is_empty() && !route.summary.ends_with('.'),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let pointer = reference
                .split('"')
                .next()
                .unwrap()
                .strip_prefix('#')
                .unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
