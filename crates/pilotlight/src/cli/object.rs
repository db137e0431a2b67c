//! What the commands of all kinds of objects have in common: list, show, create, update, delete.

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::Session;
use super::words::{self, Assigned, Assignment, Field};
use crate::client::{Ask, escaped};
use crate::error::Error;
use crate::table::{Table, cell};

/// A page of a list is as long as the API lets it be.
const LONGEST_PAGE: usize = 1000;

/// A kind of objects.
pub(crate) struct Kind {
    /// What one is called.
    pub(crate) noun: &'static str,
    /// The path of all of them.
    pub(crate) collection: &'static str,
    /// The path before the name of one.
    pub(crate) item: &'static str,
    /// What words may set.
    pub(crate) fields: &'static [Field],
    /// Whether they have attributes.
    pub(crate) has_attributes: bool,
    /// The fields that a list shows; one inside another field by its path, as `status.state`.
    pub(crate) columns: &'static [&'static str],
}

/// Which objects to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those whose field matches; the pattern may hold * and ?
    #[arg(value_name = "FIELD=PATTERN")]
    filters: Vec<Assignment>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The object to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its name or UID
    pub(crate) name: String,
}

/// An object and its fields.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    name: String,
    /// Its fields
    #[arg(value_name = "FIELD=VALUE")]
    words: Vec<Assignment>,
}

/// An object and the fields to change.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its name or UID
    name: String,
    /// The fields to change; an empty value clears
    #[arg(value_name = "FIELD=VALUE", required = true)]
    words: Vec<Assignment>,
}

/// Attributes to set.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Name or UID of whose attributes they are
    name: String,
    /// The attributes; the others stay
    #[arg(value_name = "ATTRIBUTE=VALUE", required = true)]
    words: Vec<Assignment>,
}

/// Attributes to remove.
#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Name or UID of whose attributes they are
    name: String,
    /// The attributes to remove
    #[arg(value_name = "ATTRIBUTE", required = true)]
    attributes: Vec<String>,
}

/// Objects to delete.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Their names or UIDs
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

impl Kind {
    /// The path of the object called `name`.
    ///
    /// # Errors
    /// [`Error::Usage`] for what would be another path, as `n1/attributes` is.
    pub(crate) fn path(&self, name: &str) -> Result<String, Error> {
        if name.contains('/') || matches!(name, "" | "." | "..") {
            return Err(Error::Usage(format!("{name:?} is no name")));
        }
        Ok(format!("{}/{}", self.item, escaped(name)))
    }

    /// Lists the objects that match, page by page.
    ///
    /// # Errors
    /// As [`crate::client::Client::ask`]; so do all below.
    pub(crate) async fn list(&self, session: &mut Session, list: List) -> Result<(), Error> {
        let mut query = String::new();
        for Assignment { name, value } in list.filters {
            let Assigned::Text(pattern) = value else {
                return Err(Error::Usage(format!(
                    "{name}: a filter is written name=pattern"
                )));
            };
            if ["limit", "cursor"].contains(&name.as_str()) {
                return Err(Error::Usage(format!("{name} is no field to filter by")));
            }
            query.push_str(&format!("&{}={}", escaped(&name), escaped(&pattern)));
        }
        let objects = self.pages(session, &query, list.limit).await?;
        session
            .output
            .show(&Value::Object(objects), |objects| self.table(objects))
    }

    async fn pages(
        &self,
        session: &Session,
        query: &str,
        most: Option<usize>,
    ) -> Result<Map<String, Value>, Error> {
        let mut objects = Map::new();
        let mut cursor = String::new();
        loop {
            let missing = most.map_or(LONGEST_PAGE, |most| {
                (most - objects.len()).min(LONGEST_PAGE)
            });
            if missing == 0 {
                return Ok(objects);
            }
            let path = format!("{}?limit={missing}{query}{cursor}", self.collection);
            let answer = session.client.ask(Ask::get(path)).await?;
            if let Value::Object(page) = answer.data {
                objects.extend(page.into_iter().take(missing));
            }
            match answer.next {
                Some(next) => cursor = format!("&cursor={}", escaped(&next)),
                None => return Ok(objects),
            }
        }
    }

    fn table(&self, objects: &Value) -> Table {
        let title = |path: &&'static str| path.rsplit('.').next().unwrap_or(path);
        let mut table = Table::new(self.columns.iter().map(title));
        let mut rows: Vec<&Value> = objects
            .as_object()
            .into_iter()
            .flat_map(Map::values)
            .collect();
        rows.sort_by_key(|object| object["name"].as_str().map(by_number));
        for object in rows {
            let field =
                |path: &&str| cell(path.split('.').fold(object, |value, name| &value[name]));
            table.row(self.columns.iter().map(field));
        }
        table
    }

    /// Shows one object.
    pub(crate) async fn show(&self, session: &mut Session, show: &Show) -> Result<(), Error> {
        let answer = session.client.ask(Ask::get(self.path(&show.name)?)).await?;
        session
            .output
            .show(&answer.data, |object| self.details(object))
    }

    /// A row for each field, and for each attribute.
    pub(crate) fn details(&self, object: &Value) -> Table {
        let mut table = Table::new(["field", "value"]);
        let fields = object.as_object().cloned().unwrap_or_default();
        let (nested, plain): (Vec<_>, Vec<_>) =
            fields.iter().partition(|(_, value)| value.is_object());
        let place = |name: &str| self.fields.iter().position(|field| field.name == name);
        let mut plain: Vec<_> = plain
            .into_iter()
            .filter(|(_, value)| **value != Value::Null)
            .collect();
        // The fields in the order of the documentation; what is counted by the head behind.
        plain.sort_by_key(|(name, _)| (place(name).is_none(), place(name)));
        for (name, value) in plain {
            table.row([name.clone(), cell(value)]);
        }
        for (name, values) in nested {
            for (key, value) in values.as_object().into_iter().flatten() {
                let prefix = if name == "attributes" { "attr" } else { name };
                table.row([format!("{prefix}.{key}"), cell(value)]);
            }
        }
        table
    }

    /// Creates an object of the words given.
    pub(crate) async fn create(&self, session: &mut Session, create: Create) -> Result<(), Error> {
        let fields = words::fields(create.words, self.fields, self.has_attributes)?;
        self.create_object(session, &create.name, fields).await
    }

    /// Creates an object called `name` of `fields`; a null says nothing of a new object.
    pub(crate) async fn create_object(
        &self,
        session: &mut Session,
        name: &str,
        mut fields: Map<String, Value>,
    ) -> Result<(), Error> {
        fields.retain(|_, value| !value.is_null());
        fields.insert("name".to_owned(), name.into());
        let ask = Ask::new(Method::POST, self.collection).json(&Value::Object(fields));
        let answer = session.client.ask(ask).await?;
        let uid = cell(&answer.data);
        let sentence = format!("{} {name} created: {uid}", self.noun);
        session.output.done(&answer.data, Some(&uid), &sentence)
    }

    /// Changes the fields given.
    pub(crate) async fn update(&self, session: &mut Session, update: Update) -> Result<(), Error> {
        let fields = words::fields(update.words, self.fields, self.has_attributes)?;
        self.update_object(session, &update.name, fields).await
    }

    /// Changes `fields` of the object called `name`.
    pub(crate) async fn update_object(
        &self,
        session: &mut Session,
        name: &str,
        fields: Map<String, Value>,
    ) -> Result<(), Error> {
        let ask = Ask::new(Method::PATCH, self.path(name)?).json(&Value::Object(fields));
        let answer = session.client.ask(ask).await?;
        self.updated(session, name, &answer.data)
    }

    /// Sets attributes.
    pub(crate) async fn set(&self, session: &mut Session, set: Set) -> Result<(), Error> {
        let attributes = words::attributes(set.words)?;
        let path = format!("{}/attributes", self.path(&set.name)?);
        let ask = Ask::new(Method::PATCH, path).json(&Value::Object(attributes));
        let answer = session.client.ask(ask).await?;
        self.updated(session, &set.name, &answer.data)
    }

    /// Removes attributes.
    pub(crate) async fn clear(&self, session: &mut Session, clear: Clear) -> Result<(), Error> {
        let path = format!("{}/attributes", self.path(&clear.name)?);
        let ask = Ask::new(Method::DELETE, path).json(&clear.attributes.into());
        let answer = session.client.ask(ask).await?;
        self.updated(session, &clear.name, &answer.data)
    }

    /// Tells that the object called `name` was changed.
    pub(crate) fn updated(
        &self,
        session: &mut Session,
        name: &str,
        data: &Value,
    ) -> Result<(), Error> {
        session
            .output
            .done(data, None, &format!("{} {name} updated", self.noun))
    }

    /// Deletes objects, in the order given, until one cannot be.
    pub(crate) async fn delete(&self, session: &mut Session, delete: Delete) -> Result<(), Error> {
        for name in delete.names {
            let answer = session
                .client
                .ask(Ask::new(Method::DELETE, self.path(&name)?))
                .await?;
            session
                .output
                .done(&answer.data, None, &format!("{} {name} deleted", self.noun))?;
        }
        Ok(())
    }
}

/// A key that sorts `n2` before `n10`: runs of digits count by their value.
fn by_number(name: &str) -> Vec<(bool, u64, &[u8])> {
    name.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .map(|run| {
            match std::str::from_utf8(run)
                .ok()
                .and_then(|digits| digits.parse().ok())
            {
                Some(number) => (false, number, run),
                None => (true, 0, run),
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const KIND: Kind = Kind {
        noun: "node",
        collection: "/nodes",
        item: "/node",
        fields: &[],
        has_attributes: true,
        columns: &["name"],
    };

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["n10", "n2", "n2-ib", "rack2n1", "rack1n11", "rack1n2", "n"];
        names.sort_by_key(|name| by_number(name));
        assert_eq!(
            names,
            ["n", "n2", "n2-ib", "n10", "rack1n2", "rack1n11", "rack2n1"]
        );
    }

    #[test]
    fn any_name_is_one_segment_of_a_path() {
        assert_eq!(KIND.path("n4").unwrap(), "/node/n4");
        assert_eq!(KIND.path("a b?x#%").unwrap(), "/node/a%20b%3Fx%23%25");
        assert_eq!(
            KIND.path("52:54:00:aa:00:04").unwrap(),
            "/node/52%3A54%3A00%3Aaa%3A00%3A04"
        );
        for other in ["n4/attributes", "../x", "", ".", ".."] {
            assert!(KIND.path(other).is_err(), "{other}");
        }
    }

    #[test]
    fn details_name_every_value_once() {
        let table = KIND.details(
            &json!({"name": "n4", "ip": null, "attributes": {"a": "1"}, "status": {"up": "yes"}}),
        );
        let mut out = Vec::new();
        table
            .write(&mut out, false)
            .expect("a vector takes everything");
        assert_eq!(
            String::from_utf8_lossy(&out),
            "FIELD\tVALUE\nname\tn4\nattr.a\t1\nstatus.up\tyes\n"
        );
    }
}
