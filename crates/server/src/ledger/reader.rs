//! Pages of the ledger, over connections of their own: readers do not hold up the recorder.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, types::Value};

use super::{
    database::{Error, PATIENCE},
    query::{Cursor, Filter, Gap, Page, Position},
    record::Entry,
    row,
};

/// Reads a page of the ledger of `head`.
pub(super) fn read(path: &Path, head: &str, filter: &Filter) -> Result<Page, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|mut connection| {
            connection.busy_timeout(PATIENCE)?;
            // One transaction, so that entries and gaps are of the same moment.
            page(&*connection.transaction()?, head, filter)
        })
        .map_err(|source| Error::Sqlite {
            path: path.to_owned(),
            source,
        })
}

fn page(connection: &Connection, head: &str, filter: &Filter) -> rusqlite::Result<Page> {
    let limit = filter.limit.min(Filter::MOST);
    let entries = entries(connection, head, filter, limit)?;
    let last = (entries.len() == limit).then(|| entries.last()).flatten();
    let gaps = gaps(connection, filter, limit, last)?;
    let next = last
        .filter(|_| !matches!(filter.position, Position::After(_)))
        .map(|entry| Cursor {
            time: entry.time.as_microsecond(),
            id: entry.id,
        });
    Ok(Page {
        entries,
        gaps,
        next,
    })
}

fn entries(
    connection: &Connection,
    head: &str,
    filter: &Filter,
    limit: usize,
) -> rusqlite::Result<Vec<Entry>> {
    let mut select = Select::new(format!("SELECT {} FROM fetch", row::COLUMNS));
    if let Some(node) = filter.node {
        select.only("node_uid = ?", [node.as_bytes().to_vec().into()]);
    }
    if let Some(since) = filter.since {
        select.only("time >= ?", [since.as_microsecond().into()]);
    }
    if let Some(until) = filter.until {
        select.only("time < ?", [until.as_microsecond().into()]);
    }
    if let Some(status) = filter.status {
        select.only(
            "status BETWEEN ? AND ?",
            [status.from.into(), status.to.into()],
        );
    }
    match filter.position {
        Position::Newest => {}
        Position::Before(cursor) => select.only(
            "(time, id) < (?, ?)",
            [cursor.time.into(), cursor.id.into()],
        ),
        Position::After(id) => select.only("id > ?", [id.into()]),
    }
    let order = match filter.position {
        Position::Newest | Position::Before(_) => "time DESC, id DESC",
        Position::After(_) => "id",
    };
    select.rows(connection, order, limit, |row| {
        let (id, fetch) = row::read(row)?;
        Ok(Entry::new(id, head, &fetch))
    })
}

/// The gaps within what a page covers: down to its last entry where it is full. A gap stands where it ends.
fn gaps(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
    last: Option<&Entry>,
) -> rusqlite::Result<Vec<Gap>> {
    let mut select = Select::new("SELECT id, since, until, count FROM gap".to_owned());
    if let Some(since) = filter.since {
        select.only("until >= ?", [since.as_microsecond().into()]);
    }
    if let Some(until) = filter.until {
        select.only("since < ?", [until.as_microsecond().into()]);
    }
    let order = match filter.position {
        Position::Newest | Position::Before(_) => {
            if let Position::Before(cursor) = filter.position {
                select.only("until < ?", [cursor.time.into()]);
            }
            if let Some(last) = last {
                select.only("until >= ?", [last.time.as_microsecond().into()]);
            }
            "until DESC, id DESC"
        }
        Position::After(id) => {
            select.only("id > ?", [id.into()]);
            if let Some(last) = last {
                select.only("id < ?", [last.id.into()]);
            }
            "id"
        }
    };
    select.rows(connection, order, limit, |row| {
        Ok(Gap {
            id: row.get(0)?,
            since: row::time(row, 1)?,
            until: row::time(row, 2)?,
            count: row::natural(row, 3)?,
        })
    })
}

/// A SELECT that grows by the conditions asked for, so that SQLite sees which index serves it.
struct Select {
    sql: String,
    values: Vec<Value>,
}

impl Select {
    fn new(sql: String) -> Self {
        Self {
            sql: sql + " WHERE TRUE",
            values: Vec::new(),
        }
    }

    fn only<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql += " AND ";
        self.sql += condition;
        self.values.extend(values);
    }

    fn rows<T>(
        mut self,
        connection: &Connection,
        order: &str,
        limit: usize,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.sql += &format!(" ORDER BY {order} LIMIT {limit}");
        connection
            .prepare(&self.sql)?
            .query_map(rusqlite::params_from_iter(self.values), read)?
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use model::Uid;

    use super::super::{
        database::Database,
        query::StatusFilter,
        record::{Fetch, sample},
    };
    use super::*;

    /// A ledger in a directory of its own.
    struct Fixture {
        directory: tempfile::TempDir,
        database: Database,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let database = Database::open(&directory.path().join("ledger.db")).unwrap();
            Self {
                directory,
                database,
            }
        }

        fn holding(fetches: impl IntoIterator<Item = (i64, Fetch)>) -> Self {
            let mut fixture = Self::new();
            fixture
                .database
                .append(&Vec::from_iter(fetches), None)
                .unwrap();
            fixture
        }

        fn page(&self, filter: &Filter) -> Page {
            read(&self.directory.path().join("ledger.db"), "head1", filter).unwrap()
        }

        fn ids(&self, filter: &Filter) -> Vec<i64> {
            self.page(filter)
                .entries
                .iter()
                .map(|entry| entry.id)
                .collect()
        }
    }

    /// A fetch that ended so many seconds after 1970.
    fn at(second: i64) -> Fetch {
        Fetch {
            time: moment(second),
            ..sample::served()
        }
    }

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_goes_in_comes_out() {
        let fixture = Fixture::holding([(1, sample::served()), (2, sample::refused())]);
        let expected = [
            Entry::new(2, "head1", &sample::refused()),
            Entry::new(1, "head1", &sample::served()),
        ];
        assert_eq!(fixture.page(&Filter::default()).entries, expected);
        assert_eq!(fixture.database.last_id().unwrap(), 2);
    }

    #[test]
    fn filters() {
        let other = |id: u8, status| {
            let mut fetch = at(i64::from(id) * 10);
            fetch.node.as_mut().unwrap().uid = Uid::from_bytes([id; 16]);
            (i64::from(id), Fetch { status, ..fetch })
        };
        let nobody = (
            5,
            Fetch {
                time: moment(50),
                ..sample::refused()
            },
        );
        let fixture = Fixture::holding([
            other(1, 200),
            other(2, 404),
            other(3, 422),
            other(4, 503),
            nobody,
        ]);
        let all = Filter::default;
        let status = |text: &str| Some(text.parse::<StatusFilter>().unwrap());

        assert_eq!(fixture.ids(&all()), [5, 4, 3, 2, 1]);
        assert_eq!(
            fixture.ids(&Filter {
                node: Some(Uid::from_bytes([3; 16])),
                ..all()
            }),
            [3]
        );
        assert_eq!(
            fixture.ids(&Filter {
                since: Some(moment(40)),
                ..all()
            }),
            [5, 4]
        );
        assert_eq!(
            fixture.ids(&Filter {
                until: Some(moment(40)),
                ..all()
            }),
            [3, 2, 1]
        );
        assert_eq!(
            fixture.ids(&Filter {
                status: status("404"),
                ..all()
            }),
            [5, 2]
        );
        assert_eq!(
            fixture.ids(&Filter {
                status: status("4xx"),
                ..all()
            }),
            [5, 3, 2]
        );
        assert_eq!(fixture.ids(&Filter { limit: 2, ..all() }), [5, 4]);
        assert_eq!(
            fixture.ids(&Filter {
                position: Position::After(3),
                ..all()
            }),
            [4, 5]
        );
        assert_eq!(
            fixture.ids(&Filter {
                position: Position::After(1),
                limit: 2,
                ..all()
            }),
            [2, 3]
        );
    }

    #[test]
    fn pages_are_newest_first_and_miss_nothing() {
        // The last to be recorded ended first; three ended at one moment.
        let fixture = Fixture::holding([
            (1, at(20)),
            (2, at(20)),
            (3, at(20)),
            (4, at(30)),
            (5, at(10)),
        ]);
        let mut seen = Vec::new();
        let mut filter = Filter {
            limit: 2,
            ..Filter::default()
        };
        loop {
            let page = fixture.page(&filter);
            seen.extend(page.entries.iter().map(|entry| entry.id));
            let Some(next) = page.next else { break };
            filter.position = Position::Before(next.to_string().parse().unwrap());
        }
        assert_eq!(seen, [4, 3, 2, 1, 5]);
    }

    #[test]
    fn a_gap_is_on_the_page_it_ends_in() {
        let gap = |id, since, until| Gap {
            id,
            since: moment(since),
            until: moment(until),
            count: 7,
        };
        let mut fixture = Fixture::new();
        fixture
            .database
            .append(&[(1, at(10))], Some(&gap(2, 11, 12)))
            .unwrap();
        fixture
            .database
            .append(&[(3, at(20))], Some(&gap(4, 21, 22)))
            .unwrap();
        let all = Filter::default;
        let ids =
            |filter: &Filter| Vec::from_iter(fixture.page(filter).gaps.iter().map(|gap| gap.id));

        assert_eq!(fixture.page(&all()).gaps, [gap(4, 21, 22), gap(2, 11, 12)]);
        assert_eq!(ids(&Filter { limit: 1, ..all() }), [4]);
        let next = fixture.page(&Filter { limit: 1, ..all() }).next.unwrap();
        assert_eq!(
            ids(&Filter {
                position: Position::Before(next),
                ..all()
            }),
            [2]
        );
        assert_eq!(
            ids(&Filter {
                since: Some(moment(15)),
                ..all()
            }),
            [4]
        );
        assert_eq!(
            ids(&Filter {
                until: Some(moment(15)),
                ..all()
            }),
            [2]
        );
        assert_eq!(
            ids(&Filter {
                position: Position::After(2),
                ..all()
            }),
            [4]
        );
        assert_eq!(fixture.database.last_id().unwrap(), 4);
    }

    #[test]
    fn pages_need_no_scan() {
        let fixture = Fixture::new();
        let connection = Connection::open(fixture.directory.path().join("ledger.db")).unwrap();
        let plan = |condition: &str| {
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT * FROM fetch WHERE {condition} ORDER BY time DESC, id DESC"
            );
            let mut plan = connection.prepare(&sql).unwrap();
            let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
            steps.map(Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(
            plan("time < 5"),
            ["SEARCH fetch USING INDEX fetch_by_time (time<?)"]
        );
        assert_eq!(
            plan("node_uid = x'00' AND time > 5"),
            ["SEARCH fetch USING INDEX fetch_by_node (node_uid=? AND time>?)"]
        );
        assert_eq!(
            plan("(time, id) < (5, 6)"),
            ["SEARCH fetch USING INDEX fetch_by_time (time<?)"]
        );
    }
}
