//! Durable cluster state behind one trait; SQLite is the first implementation.
