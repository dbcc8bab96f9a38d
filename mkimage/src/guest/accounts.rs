//! Accounts: lines in `/etc/passwd` and its relatives, home folders, and keys.

use super::tree::{Kind, Node, Tree};
use crate::fs;
use crate::recipe::User;

/// Numbers of people; services have lower ones.
const PEOPLE: std::ops::Range<u32> = 1000..60_000;

/// A table of lines with fields.
struct Table {
    path: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(tree: &Tree, path: &'static str) -> fs::Result<Self> {
        let text = tree.text(path)?;
        let rows = text.lines().filter(|line| !line.is_empty());
        Ok(Self { path, rows: rows.map(|l| l.split(':').map(str::to_owned).collect()).collect() })
    }

    fn write(&self, tree: &mut Tree) {
        let lines: String = self.rows.iter().map(|row| row.join(":") + "\n").collect();
        tree.write(self.path, lines);
    }

    fn row(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.rows.iter_mut().find(|row| row.first().is_some_and(|first| first == name))
    }

    fn number(&mut self, name: &str) -> Option<u32> {
        self.row(name)?.get(2)?.parse().ok()
    }

    fn has_number(&self, number: u32) -> bool {
        let text = number.to_string();
        self.rows.iter().any(|row| row.get(2) == Some(&text))
    }

    fn add(&mut self, fields: &[&str]) {
        self.rows.push(fields.iter().map(|field| (*field).to_owned()).collect());
    }
}

/// All tables about accounts.
struct Tables {
    users: Table,
    groups: Table,
    shadow: Table,
    group_shadow: Table,
}

/// Makes or changes an account.
///
/// # Errors
/// The reason in words, when a group doesn't exist or a number is taken.
pub fn add(tree: &mut Tree, user: &User, epoch: u64) -> Result<(), String> {
    let text = |error: fs::Error| error.to_string();
    let mut tables = Tables {
        users: Table::read(tree, "etc/passwd").map_err(text)?,
        groups: Table::read(tree, "etc/group").map_err(text)?,
        shadow: Table::read(tree, "etc/shadow").map_err(text)?,
        group_shadow: Table::read(tree, "etc/gshadow").map_err(text)?,
    };
    let (uid, home) = tables.account(user, epoch)?;
    tables.join(user)?;
    for table in [&tables.users, &tables.groups, &tables.shadow, &tables.group_shadow] {
        table.write(tree);
    }
    make_home(tree, uid, &home, user)
}

impl Tables {
    /// The account's number and home.
    fn account(&mut self, user: &User, epoch: u64) -> Result<(u32, String), String> {
        let name = user.name.as_str();
        let hash = user.password_hash.as_deref();
        if let Some(row) = self.users.row(name) {
            let uid = row.get(2).and_then(|text| text.parse().ok()).unwrap_or(0);
            if user.uid.is_some_and(|wanted| wanted != uid) {
                return Err(format!("it is there already, with the number {uid}"));
            }
            let home = user.home.clone().or_else(|| row.get(5).cloned()).unwrap_or_default();
            if let Some(shell) = row.get_mut(6) {
                shell.clone_from(&user.shell);
            }
            let secret = self.shadow.row(name).and_then(|row| row.get_mut(1));
            if let (Some(secret), Some(hash)) = (secret, hash) {
                hash.clone_into(secret);
            }
            return Ok((uid, home));
        }
        let taken =
            |number: &u32| self.users.has_number(*number) || self.groups.has_number(*number);
        let uid = match user.uid {
            Some(uid) if taken(&uid) => return Err(format!("the number {uid} is taken")),
            Some(uid) => uid,
            None => PEOPLE
                .into_iter()
                .find(|number| !taken(number))
                .ok_or("all numbers of people are taken")?,
        };
        if self.groups.row(name).is_some() {
            return Err("there is a group of that name already".to_owned());
        }
        let home = user.home.clone().unwrap_or_else(|| format!("/home/{name}"));
        let (number, day) = (uid.to_string(), (epoch / 86_400).to_string());
        self.users.add(&[name, "x", &number, &number, &user.comment, &home, &user.shell]);
        self.groups.add(&[name, "x", &number, ""]);
        self.shadow.add(&[name, hash.unwrap_or("!"), &day, "0", "99999", "7", "", "", ""]);
        self.group_shadow.add(&[name, "!", "", ""]);
        Ok((uid, home))
    }

    /// Makes the account a member of its groups.
    fn join(&mut self, user: &User) -> Result<(), String> {
        for group in &user.groups {
            let row = self.groups.row(group);
            let row = row.ok_or_else(|| {
                format!("there is no group `{group}`; list the package that makes it")
            })?;
            for row in [Some(row), self.group_shadow.row(group)].into_iter().flatten() {
                if let Some(members) = row.get_mut(3) {
                    let there = members.split(',').any(|member| member == user.name);
                    if !there {
                        let comma = if members.is_empty() { "" } else { "," };
                        *members += &format!("{comma}{}", user.name);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The home folder, with what new ones hold, and the keys.
fn make_home(tree: &mut Tree, uid: u32, home: &str, user: &User) -> Result<(), String> {
    let owner = u64::from(uid);
    let mut made = Vec::new();
    if tree.get(home).is_none() {
        tree.folder(home, 0o700);
        made.push(home.to_owned());
        for name in tree.list("etc/skel") {
            let source = format!("etc/skel/{name}");
            if let Some(node @ Node { kind: Kind::File(_) | Kind::Link(_), .. }) = tree.get(&source)
            {
                let node = node.clone();
                tree.insert(&format!("{home}/{name}"), node);
                made.push(format!("{home}/{name}"));
            }
        }
    }
    if !user.ssh_keys.is_empty() {
        let folder = format!("{home}/.ssh");
        let file = format!("{folder}/authorized_keys");
        tree.folder(&folder, 0o700);
        tree.write(&file, user.ssh_keys.join("\n") + "\n");
        if let Some(node) = tree.get_mut(&file) {
            node.mode = 0o600;
        }
        made.extend([folder, file]);
    }
    for path in made {
        if let Some(node) = tree.get_mut(&path) {
            (node.uid, node.gid) = (owner, owner);
        }
    }
    Ok(())
}

/// Number of a user, by name.
///
/// # Errors
/// The reason in words, when there is none.
pub fn user(tree: &Tree, name: &str) -> Result<u64, String> {
    number(tree, "etc/passwd", name).ok_or_else(|| format!("there is no user `{name}`"))
}

/// Number of a group, by name.
///
/// # Errors
/// The reason in words, when there is none.
pub fn group(tree: &Tree, name: &str) -> Result<u64, String> {
    number(tree, "etc/group", name).ok_or_else(|| format!("there is no group `{name}`"))
}

fn number(tree: &Tree, path: &'static str, name: &str) -> Option<u64> {
    Table::read(tree, path).ok()?.number(name).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(86_400 * 7);
        tree.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nold:x:1000:1000::/:/bin/sh\n");
        tree.write("etc/group", "root:x:0:\nsudo:x:27:old\n");
        tree.write("etc/shadow", "root:*:3:0:99999:7:::\n");
        tree.write("etc/gshadow", "root:*::\nsudo:*::old\n");
        tree.write("etc/skel/.profile", "hello");
        tree.folder("root", 0o700);
        tree
    }

    fn person(text: &str) -> User {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_new_account() {
        let mut tree = tree();
        let user = person("name = \"ann\"\ngroups = [\"sudo\"]\nssh-keys = [\"ssh-ed25519 A\"]");
        add(&mut tree, &user, 86_400 * 7).unwrap();
        let last = |path: &str| tree.text(path).unwrap().lines().last().unwrap().to_owned();
        assert_eq!(last("etc/passwd"), "ann:x:1001:1001::/home/ann:/bin/bash");
        assert_eq!(last("etc/shadow"), "ann:!:7:0:99999:7:::");
        assert!(tree.text("etc/group").unwrap().contains("sudo:x:27:old,ann\n"));
        assert!(tree.text("etc/gshadow").unwrap().contains("sudo:*::old,ann\n"));
        for (path, mode) in [
            ("home/ann", 0o700),
            ("home/ann/.profile", 0o644),
            ("home/ann/.ssh/authorized_keys", 0o600),
        ] {
            let node = tree.get(path).unwrap();
            assert_eq!((node.uid, node.gid, node.mode), (1001, 1001, mode), "{path}");
        }
        assert_eq!(super::user(&tree, "ann"), Ok(1001));
        assert!(super::group(&tree, "none").is_err());
    }

    #[test]
    fn root_gets_a_password_and_keeps_the_rest() {
        let mut tree = tree();
        add(&mut tree, &person("name = \"root\"\npassword-hash = \"$6$x\""), 0).unwrap();
        assert_eq!(tree.text("etc/shadow").unwrap(), "root:$6$x:3:0:99999:7:::\n");
        assert!(tree.text("etc/passwd").unwrap().contains("root:x:0:0:root:/root:/bin/bash\n"));
    }

    #[test]
    fn refusals() {
        for (text, reason) in [
            ("name = \"ann\"\ngroups = [\"none\"]", "no group `none`"),
            ("name = \"ann\"\nuid = 1000", "1000 is taken"),
            ("name = \"root\"\nuid = 5", "there already"),
            ("name = \"sudo\"", "a group of that name"),
        ] {
            let error = add(&mut tree(), &person(text), 0).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
