//! What a session needs to survive a crash, in a folder.
//!
//! A database that commits takes the place of a log of one's own, with checksums, a scan for the
//! torn end, compaction and a lock against a second process: all of which redb has, with one
//! fsync a commit, in a crate without dependencies.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use redb::{Database, ReadableTable, TableDefinition};
use sansio_mqtt::client::{Sequence, Store as Record};

use super::Result;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const BOOKMARKS: TableDefinition<'_, &str, u64> = TableDefinition::new("bookmarks");
const BOOKMARK: &str = "lines";

/// Key and value.
type Pair = (Vec<u8>, Vec<u8>);

pub(super) struct Store {
    /// None if nothing is to be stored.
    database: Option<Database>,
    is_new: bool,
    bookmark: u64,
    /// What the next commit holds.
    waiting: Vec<Record>,
}

impl Store {
    /// A store for a client that hands no records out.
    pub(super) const fn none() -> Self {
        Self { database: None, is_new: true, bookmark: 0, waiting: Vec::new() }
    }

    /// The store in this folder, and the records that are in it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Pair>)> {
        fs::create_dir_all(folder)?;
        let path = folder.join("session.redb");
        let database = Database::create(path)?;
        sync_folder(folder)?;
        let transaction = database.begin_write()?;
        let records = transaction
            .open_table(RECORDS)?
            .iter()?
            .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let bookmark = transaction.open_table(BOOKMARKS)?.get(BOOKMARK)?.map(|found| found.value());
        transaction.commit()?;
        let bookmark = bookmark.unwrap_or_default();
        let is_new = records.is_empty();
        Ok((Self { database: Some(database), is_new, bookmark, waiting: Vec::new() }, records))
    }

    /// Whether nothing was stored before.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The number that was stored with the last records.
    pub(super) const fn bookmark(&self) -> u64 {
        self.bookmark
    }

    /// Takes a record in, for the next commit.
    pub(super) fn put(&mut self, record: Record) {
        self.waiting.push(record);
    }

    /// Whether there is something to be committed.
    pub(super) fn has_news(&self, bookmark: u64) -> bool {
        self.database.is_some() && (!self.waiting.is_empty() || bookmark != self.bookmark)
    }

    /// Makes safe what was put, and a bookmark with it: all of it or nothing. Returns up to where
    /// the records are safe, if there were some.
    pub(super) fn commit(&mut self, bookmark: u64) -> Result<Option<Sequence>> {
        let Some(database) = &self.database else { return Ok(None) };
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for Record { key, value, .. } in &self.waiting {
                match value {
                    Some(value) => table.insert(&key[..], &value[..])?,
                    None => table.remove(&key[..])?,
                };
            }
            transaction.open_table(BOOKMARKS)?.insert(BOOKMARK, bookmark)?;
        }
        // Returns when it is on the disk, which is redb's default.
        transaction.commit()?;
        self.bookmark = bookmark;
        Ok(self.waiting.drain(..).last().map(|record| record.sequence))
    }
}

/// Makes safe that the files in this folder are there. Windows has no such call, and no need.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
