#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use model::{FileContent, FileVersion, Sha256Digest, Uid};
use proptest::prelude::*;

use super::*;

fn content(bytes: u32) -> FileContent {
    FileContent {
        sha256: Sha256Digest::of(&bytes.to_le_bytes()),
        size: 4,
        mode: 0o644,
        mtime: i64::from(bytes),
    }
}

fn version(content: Option<FileContent>) -> FileVersion {
    FileVersion {
        content,
        origin: Uid::from_bytes([0; 16]),
        changed: 0,
        overrode: Vec::new(),
    }
}

fn agreed(listed: FileContent) -> Base {
    Base::File(Agreed {
        listed,
        mode: listed.mode,
        mtime: listed.mtime,
    })
}

const PULL: Step = Step::Pull { keep: false };
const PULL_AND_KEEP: Step = Step::Pull { keep: true };
const PUBLISH: Step = Step::Publish { overrides: false };
const OVERRIDE: Step = Step::Publish { overrides: true };

#[test]
fn the_table_holds() {
    let (a, b, c) = (content(1), content(2), content(3));
    let bases = [
        Base::Lost,
        Base::Never,
        Base::Absent,
        agreed(a),
        agreed(b),
        agreed(c),
    ];
    let remove = |keep| Step::Remove { keep };
    // What is here, what is there, and what follows for each base.
    let table = [
        (None, None, [Step::Forget; 6]),
        (None, Some(None), [Step::Agree; 6]),
        (
            None,
            Some(Some(b)),
            [PULL, PULL, PULL, PULL, Step::PublishDeletion, PULL],
        ),
        (Some(a), None, [PUBLISH; 6]),
        (
            Some(a),
            Some(None),
            [
                remove(true),
                PUBLISH,
                PUBLISH,
                remove(false),
                PUBLISH,
                PUBLISH,
            ],
        ),
        (Some(a), Some(Some(a)), [Step::Agree; 6]),
        (
            Some(a),
            Some(Some(b)),
            [PULL_AND_KEEP, OVERRIDE, OVERRIDE, PULL, PUBLISH, OVERRIDE],
        ),
    ];
    for (here, there, steps) in table {
        let there = there.map(version);
        for (base, step) in bases.into_iter().zip(steps) {
            let decided = decide(base, None, here.as_ref(), there.as_ref());
            assert_eq!(decided, step, "{here:?} {there:?} {base:?}");
        }
    }
}

#[test]
fn what_was_begun_when_the_head_was_killed_is_no_edit() {
    let (a, b, c) = (content(1), content(2), content(3));
    let decide = |base, intent, there| decide(base, Some(intent), Some(&a), Some(&version(there)));
    let placing = Intent::Place(a.sha256);
    assert_eq!(decide(agreed(c), placing, Some(b)), PULL);
    assert_eq!(
        decide(agreed(c), placing, None),
        Step::Remove { keep: false }
    );
    let publishing = Intent::Publish(a.sha256);
    assert_eq!(decide(agreed(c), publishing, Some(b)), PULL_AND_KEEP);
    assert_eq!(decide(agreed(c), publishing, Some(c)), PUBLISH);
    assert_eq!(
        decide(agreed(c), publishing, None),
        Step::Remove { keep: true }
    );
    // It was edited since.
    let other = Intent::Publish(c.sha256);
    assert_eq!(decide(agreed(b), other, Some(c)), OVERRIDE);
}

#[test]
fn what_the_manifest_has_of_this_head_is_agreed_on() {
    let (a, b) = (content(1), content(2));
    let published = |intent, there| published(intent, Some(&version(there)));
    let publishing = Some(Intent::Publish(a.sha256));
    assert_eq!(published(publishing, Some(a)), Some(Agreed::published(a)));
    assert_eq!(published(publishing, Some(b)), None);
    assert_eq!(published(publishing, None), None);
    assert_eq!(published(Some(Intent::Place(a.sha256)), Some(a)), None);
}

#[test]
fn mode_and_time_follow_the_side_that_changed_them() {
    let old = content(1);
    let new = FileContent { mode: 0o755, ..old };
    let other = FileContent { mtime: 9, ..old };
    let set = Step::SetMetadata;
    for (base, here, there, step) in [
        (agreed(old), new, old, PUBLISH),
        (agreed(old), old, new, set),
        (agreed(old), other, new, set),
        (agreed(old), new, new, Step::Agree),
        (Base::Never, old, new, set),
        (Base::Lost, old, new, set),
    ] {
        assert_eq!(
            decide(base, None, Some(&here), Some(&version(Some(there)))),
            step
        );
    }
    // A file system that counts in seconds shows another time than it was given.
    let coarse = Base::File(Agreed {
        listed: old,
        mode: old.mode,
        mtime: 0,
    });
    let here = FileContent { mtime: 0, ..old };
    assert_eq!(
        decide(coarse, None, Some(&here), Some(&version(Some(old)))),
        Step::Agree
    );
    let touched = FileContent { mtime: 7, ..old };
    assert_eq!(
        decide(coarse, None, Some(&touched), Some(&version(Some(old)))),
        PUBLISH
    );
}

#[test]
fn the_newest_overridden_versions_are_remembered() {
    let mut there = version(Some(content(0)));
    for bytes in 1..20 {
        let new = content(bytes);
        let overrode = overrode(Some(&there), true, Some(new.sha256));
        there = FileVersion {
            overrode,
            ..version(Some(new))
        };
    }
    let expected: Vec<_> = (11..19).map(|bytes| content(bytes).sha256).collect();
    assert_eq!(there.overrode, expected);
    // One that is back is overridden no more.
    let back = overrode(Some(&there), false, Some(expected[3]));
    assert_eq!(back.len(), 7);
    assert!(!back.contains(&expected[3]));
}

/// One file on some heads and in the manifest.
#[derive(Default)]
struct Cluster {
    manifest: Option<(u64, FileVersion)>,
    revision: u64,
    heads: Vec<Head>,
    /// Everything that was ever in the manifest.
    committed: BTreeSet<Sha256Digest>,
    /// What somebody edited or deleted who had it before his eyes.
    replaced: BTreeSet<Sha256Digest>,
    /// What was in the manifest when a head that may have been the only one to hold it forgot that it was its own.
    orphaned: BTreeSet<Sha256Digest>,
    edits: u32,
}

#[derive(Clone, Default)]
struct Head {
    disk: Option<FileContent>,
    memory: Memory,
    /// What a restart finds.
    kept: Memory,
    conflicts: BTreeSet<Sha256Digest>,
    /// The manifest as it was last heard of.
    heard: Option<(u64, FileVersion)>,
    is_apart: bool,
}

#[derive(Clone, Copy)]
struct Memory {
    base: Base,
    intent: Option<Intent>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            base: Base::Never,
            intent: None,
        }
    }
}

/// Where a head is killed in the midst of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    Not,
    AfterNoting,
    AfterDoing,
}

#[derive(Clone, Debug)]
enum Event {
    Edit(usize),
    Delete(usize),
    Step(usize, Killed),
    Hear(usize),
    Save(usize),
    Kill(usize),
    LoseBase(usize),
    Part(usize),
    Meet(usize),
}

impl Cluster {
    fn new(heads: usize) -> Self {
        Self {
            heads: vec![Head::default(); heads],
            ..Self::default()
        }
    }

    fn happen(&mut self, event: &Event) {
        let count = self.heads.len();
        match *event {
            Event::Edit(head) => {
                self.edits += 1;
                let new = content(self.edits);
                let old = self.heads[head % count].disk.replace(new);
                self.replaced.extend(old.map(|old| old.sha256));
            }
            Event::Delete(head) => {
                let old = self.heads[head % count].disk.take();
                self.replaced.extend(old.map(|old| old.sha256));
            }
            Event::Step(head, killed) => {
                self.step(head % count, killed);
            }
            Event::Hear(head) => {
                let head = &mut self.heads[head % count];
                if !head.is_apart {
                    head.heard.clone_from(&self.manifest);
                }
            }
            Event::Save(head) => {
                let head = &mut self.heads[head % count];
                head.kept = head.memory;
            }
            Event::Kill(head) => {
                let head = &mut self.heads[head % count];
                head.memory = head.kept;
            }
            Event::LoseBase(head) => {
                let listed = self.listed();
                self.orphaned.extend(listed.map(|listed| listed.sha256));
                let head = &mut self.heads[head % count];
                head.kept = Memory {
                    base: Base::Lost,
                    intent: None,
                };
                head.memory = head.kept;
            }
            Event::Part(head) => self.heads[head % count].is_apart = true,
            Event::Meet(head) => self.heads[head % count].is_apart = false,
        }
    }

    fn listed(&self) -> Option<FileContent> {
        let (_, version) = self.manifest.as_ref()?;
        version.content
    }

    /// Whether a pull can succeed.
    fn is_to_be_had(&self, content: &FileContent) -> bool {
        let holds = |head: &Head| head.disk.is_some_and(|disk| disk.sha256 == content.sha256);
        self.orphaned.contains(&content.sha256) || self.heads.iter().any(holds)
    }

    /// What the task does, in small: whether there was something to do.
    fn step(&mut self, head: usize, killed: Killed) -> bool {
        let heard = self.heads[head].heard.as_ref();
        let wanted = heard.and_then(|(_, version)| version.content);
        let is_to_be_had = wanted.is_some_and(|wanted| self.is_to_be_had(&wanted));
        let (revision, manifest) = (&mut self.revision, &mut self.manifest);
        let head = &mut self.heads[head];
        let there = head.heard.as_ref().map(|(_, version)| version);
        let file = |content: Option<FileContent>| Memory {
            base: content.map_or(Base::Absent, agreed),
            intent: None,
        };
        if let Some(agreed) = published(head.memory.intent, there) {
            head.memory = file(Some(agreed.listed));
        }
        let Memory { base, intent } = head.memory;
        let step = decide(base, intent, head.disk.as_ref(), there);
        let is_doubtful = head
            .disk
            .is_some_and(|disk| intent == Some(Intent::Publish(disk.sha256)));
        let kill = |head: &mut Head| head.memory = head.kept;
        match step {
            Step::Agree => head.memory = file(head.disk),
            Step::Forget => {
                head.memory = Memory {
                    base: Base::Never,
                    intent: None,
                }
            }
            Step::Publish { .. } | Step::PublishDeletion => {
                if let Some(disk) = head.disk {
                    head.memory.intent = Some(Intent::Publish(disk.sha256));
                    head.kept = head.memory;
                }
                if killed == Killed::AfterNoting {
                    kill(head);
                    return true;
                }
                let overrides = step == OVERRIDE;
                let overrode = overrode(there, overrides, head.disk.map(|disk| disk.sha256));
                let known = head.heard.as_ref().map(|(revision, _)| *revision);
                if head.is_apart || known != manifest.as_ref().map(|(revision, _)| *revision) {
                    // A conflict, or no connection: surely nothing was written.
                    if !is_doubtful {
                        head.memory.intent = None;
                    }
                    return !head.is_apart;
                }
                *revision += 1;
                *manifest = Some((
                    *revision,
                    FileVersion {
                        overrode,
                        ..version(head.disk)
                    },
                ));
                self.committed.extend(head.disk.map(|disk| disk.sha256));
                // Also a head that starts again begins with the manifest as it is.
                head.heard.clone_from(manifest);
                match killed {
                    Killed::AfterDoing => kill(head),
                    Killed::Not | Killed::AfterNoting => head.memory = file(head.disk),
                }
            }
            Step::Pull { keep } => {
                let new = there.unwrap().content.unwrap();
                if is_doubtful {
                    head.memory.base = Base::Lost;
                }
                head.memory.intent = Some(Intent::Place(new.sha256));
                head.kept = head.memory;
                if killed == Killed::AfterNoting {
                    kill(head);
                }
                if killed == Killed::AfterNoting || !is_to_be_had {
                    return true;
                }
                head.conflicts
                    .extend(head.disk.filter(|_| keep).map(|disk| disk.sha256));
                head.disk = Some(new);
                if killed == Killed::AfterDoing {
                    kill(head);
                }
            }
            Step::SetMetadata => head.disk = there.unwrap().content,
            Step::Remove { keep } => {
                head.conflicts
                    .extend(head.disk.filter(|_| keep).map(|disk| disk.sha256));
                head.disk = None;
                if killed == Killed::AfterDoing {
                    kill(head);
                }
            }
        }
        !matches!(step, Step::Agree | Step::Forget)
    }

    /// All meet, and nobody changes anything any more.
    fn settle(&mut self) {
        for _ in 0..100 {
            let mut is_quiet = true;
            for head in 0..self.heads.len() {
                self.heads[head].is_apart = false;
                self.heads[head].heard.clone_from(&self.manifest);
                is_quiet &= !self.step(head, Killed::Not);
            }
            if is_quiet {
                return;
            }
        }
        panic!("they never agree");
    }

    fn check(&self) {
        let listed = self.listed();
        for head in &self.heads {
            assert_eq!(head.disk, listed);
        }
        let kept: BTreeMap<_, _> = self
            .heads
            .iter()
            .enumerate()
            .flat_map(|(number, head)| head.conflicts.iter().map(move |kept| (*kept, number)))
            .collect();
        for sha256 in &self.committed {
            let is_listed = listed.is_some_and(|listed| listed.sha256 == *sha256);
            assert!(
                is_listed || self.replaced.contains(sha256) || kept.contains_key(sha256),
                "a version that was committed is gone"
            );
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let head = 0..3_usize;
    let killed = prop_oneof![
        8 => Just(Killed::Not),
        1 => Just(Killed::AfterNoting),
        1 => Just(Killed::AfterDoing)
    ];
    prop_oneof![
        6 => head.clone().prop_map(Event::Edit),
        2 => head.clone().prop_map(Event::Delete),
        16 => (head.clone(), killed).prop_map(|(head, killed)| Event::Step(head, killed)),
        8 => head.clone().prop_map(Event::Hear),
        4 => head.clone().prop_map(Event::Save),
        1 => head.clone().prop_map(Event::Kill),
        1 => head.clone().prop_map(Event::LoseBase),
        1 => head.clone().prop_map(Event::Part),
        2 => head.prop_map(Event::Meet),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever happens to two or three heads, they come to have the same file, and of what was ever committed nothing
    /// is gone but what somebody replaced who had it before his eyes.
    #[test]
    fn heads_converge_and_lose_nothing(
        heads in 2..4_usize,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut cluster = Cluster::new(heads);
        for event in &events {
            cluster.happen(event);
        }
        cluster.settle();
        cluster.check();
    }
}
