//! The password file: a line for each user, `user:HASH`. Empty lines and lines that begin with `#`
//! do not count.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params};

use super::Result;

#[derive(Debug)]
pub(super) struct Users {
    hashes: HashMap<String, Arc<PasswordHash>>,
    /// Stands in for the hash of a user that there is not.
    decoy: Arc<PasswordHash>,
}

/// What a password has to match. To find that out takes tens of milliseconds, on purpose.
#[derive(Debug)]
pub(super) struct Credential {
    hash: Arc<PasswordHash>,
    is_decoy: bool,
}

impl Users {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut hashes = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) =
                parse_line(line).map_err(|error| format!("line {number}: {error}"))?;
            if hashes.insert(user.to_owned(), Arc::new(hash)).is_some() {
                return Err(format!("line {number}: the user {user:?} for the second time").into());
            }
        }
        Ok(Self { hashes, decoy: Arc::new(Argon2::default().hash_password(b"")?) })
    }

    /// For whom the user is unknown there is one too, which nothing matches: how long an answer
    /// takes does not tell who is a user.
    pub(super) fn credential(&self, user: &str) -> Credential {
        let hash = self.hashes.get(user);
        Credential { hash: Arc::clone(hash.unwrap_or(&self.decoy)), is_decoy: hash.is_none() }
    }
}

impl Credential {
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let matches = Argon2::default().verify_password(password, self.hash.as_ref()).is_ok();
        matches && !self.is_decoy
    }
}

fn parse_line(line: &str) -> Result<(&str, PasswordHash)> {
    let (user, hash) = line.split_once(':').ok_or("not `user:HASH`")?;
    let hash = PasswordHash::new(hash).map_err(|error| format!("the hash of {user:?}: {error}"))?;
    let is_whole = hash.salt.is_some() && hash.hash.is_some();
    let is_argon2 = Algorithm::from_str(hash.algorithm.as_str()).is_ok();
    if !is_whole || !is_argon2 || Params::try_from(&hash).is_err() {
        return Err(format!("the hash of {user:?} is none of Argon2").into());
    }
    Ok((user, hash))
}

/// Reads a password from standard input; the line of the user who has it.
pub(super) fn new_line(user: &str) -> Result<String> {
    if user.is_empty() || user.starts_with('#') || user.contains([':', '\n']) || user != user.trim()
    {
        return Err(format!("{user:?} cannot be a user of a password file").into());
    }
    let hash = Argon2::default().hash_password(read_password()?.as_bytes())?;
    Ok(format!("{user}:{hash}"))
}

fn read_password() -> Result<String> {
    if io::stdin().is_terminal() {
        eprint!("Password (it is shown): ");
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err("no password on standard input".into()),
        password => Ok(password.to_owned()),
    }
}
