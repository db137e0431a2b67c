//! Table `role`: what the database is to its cluster.

use model::Uid;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension};

/// What a database is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// All there is of it.
    Whole,
    /// All there is of it, but an attempt was made to move it to etcd, under this UID.
    Moving(Uid),
    /// A replica that has not seen its etcd yet.
    EmptyReplica,
    /// A replica of the cluster that etcd keeps under this UID.
    Replica(Uid),
}

impl Role {
    /// Whether changes are made elsewhere.
    pub(crate) fn is_replica(self) -> bool {
        matches!(self, Self::EmptyReplica | Self::Replica(_))
    }

    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let row = connection
            .query_row("SELECT name, cluster FROM role", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
            })
            .optional()?;
        let Some((name, cluster)) = row else {
            return Ok(Self::Whole);
        };
        let cluster = cluster.map(|uid| uid.parse()).transpose();
        match (name.as_str(), cluster) {
            ("moving", Ok(Some(cluster))) => Ok(Self::Moving(cluster)),
            ("replica", Ok(Some(cluster))) => Ok(Self::Replica(cluster)),
            ("replica", Ok(None)) => Ok(Self::EmptyReplica),
            _ => Err(rusqlite::Error::FromSqlConversionFailure(
                0,
                Type::Text,
                format!("{name:?} is no role of a database").into(),
            )),
        }
    }

    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM role", [])?;
        let (name, cluster) = match self {
            Self::Whole => return Ok(()),
            Self::Moving(cluster) => ("moving", Some(cluster.to_string())),
            Self::EmptyReplica => ("replica", None),
            Self::Replica(cluster) => ("replica", Some(cluster.to_string())),
        };
        connection.execute(
            "INSERT INTO role (name, cluster) VALUES (?, ?)",
            (name, cluster),
        )?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn a_role_is_read_as_it_was_written() {
        let connection = Connection::open_in_memory().unwrap();
        schema::lay_out(&connection).unwrap();
        assert_eq!(Role::read(&connection).unwrap(), Role::Whole);
        let uid = Uid::from_bytes([7; 16]);
        for role in [
            Role::EmptyReplica,
            Role::Moving(uid),
            Role::Replica(uid),
            Role::Whole,
        ] {
            role.write(&connection).unwrap();
            assert_eq!(Role::read(&connection).unwrap(), role);
        }
    }

    #[test]
    fn a_role_that_is_none_is_damage() {
        let connection = Connection::open_in_memory().unwrap();
        schema::lay_out(&connection).unwrap();
        Role::EmptyReplica.write(&connection).unwrap();
        for change in ["name = 'repliba'", "name = 'moving'", "cluster = 'x'"] {
            connection
                .execute(&format!("UPDATE role SET {change}"), [])
                .unwrap();
            assert!(Role::read(&connection).is_err(), "{change}");
        }
    }
}
