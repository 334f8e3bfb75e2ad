//! What happens in a run: what is made of a seed, the troubles, their end, and the judgement.

use super::chance::Chance;
use super::network::{Network, Weather};
use super::process::{Parts, Process};
use super::provider::{Ended, Manner, Provider};
use super::store::Disk;
use super::witness::{Witness, good_for};
use super::world::World;
use grantkeeper::connector::Error;
use grantkeeper::model::{ConnectionName, Seeded};
use grantkeeper::refresh::{RefreshError, Want};
use grantkeeper::script::Scripts;
use grantkeeper::seal::Keyring;
use grantkeeper::store::MemoryStore;
use grantkeeper::vault::Vault;
use std::sync::Arc;

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What was broken first.
    pub(super) broken: Option<String>,
    /// The hash of all that happened, and how many lines that was.
    pub(super) trace: (u64, u64),
    /// Rotations at the provider.
    pub(super) rotations: u64,
    /// Tokens that callers had.
    pub(super) tokens: u64,
}

/// What runs have in common: made once, because it is costly.
#[derive(Clone)]
pub(super) struct Kit {
    scripts: Scripts,
    keys: String,
}

/// Which troubles a run knows. Few at a time find more than all at once: a crash that is rare among others is never
/// the one that matters.
struct Plan {
    exclusive: bool,
    processes: u64,
    names: Vec<ConnectionName>,
    manner: Manner,
    network: bool,
    crashes: bool,
    pauses: bool,
    jumps: bool,
    revocations: bool,
    ends: bool,
    edits: bool,
    scripts: bool,
    steps: u64,
    /// The longest time between two steps, in milliseconds.
    pace: u64,
}

/// Scripts that fail, each in its way: before the request, on the reply, silently, and now and then.
const BROKEN_SCRIPTS: [(&str, &str); 4] = [
    ("OAuthStops", "fn preprocessAccessToken(requestParamMap) { throw 'stops'; }"),
    ("OAuthThrows", "fn parseTokenResponse(accessTokenResponse) { throw 'throws'; }"),
    (
        "OAuthLoses",
        "fn parseTokenResponse(accessTokenResponse) { accessTokenResponse.getparameters().remove('access_token'); }",
    ),
    ("OAuthWavers", "fn postprocessAccessToken(accessTokenResponse) { if now() / 60 % 3 == 0 { throw 'wavers'; } }"),
];

impl Kit {
    pub(super) fn new() -> Self {
        let given = BROKEN_SCRIPTS.iter().map(|(name, text)| (name.parse().unwrap(), (*text).to_owned())).collect();
        let keyring = Keyring::generate("2026-11-30T08:00:00Z".parse().unwrap()).unwrap();
        Self { scripts: Scripts::inline(given).unwrap(), keys: keyring.to_text().to_string() }
    }

    /// What the processes of a run are made of.
    pub(super) fn parts(&self, world: &Arc<World>, manner: Manner, exclusive: bool) -> Arc<Parts> {
        let provider = Provider::new(world, manner);
        let records = MemoryStore::new();
        let keyring = Keyring::from_text(&self.keys, "the simulation").unwrap();
        let glass = Vault::new(Arc::new(records.clone()), Arc::new(keyring));
        let disk = Disk::new(records, glass, &provider);
        Arc::new(Parts {
            network: Network::new(&provider),
            witness: Witness::new(world, &provider, &disk),
            disk,
            world: Arc::clone(world),
            scripts: self.scripts.clone(),
            keys: self.keys.clone(),
            exclusive,
        })
    }

    /// One run, in a runtime of its own whose clock is moved and never waited for.
    pub(super) fn run(&self, seed: u64, aloud: bool) -> Outcome {
        let _seeded = Seeded::by(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(self, seed, aloud);
            run.whole().await;
            let (world, parts) = (&run.parts.world, &run.parts);
            Outcome {
                broken: world.is_broken(),
                trace: world.trace(),
                rotations: parts.network.provider.processed(),
                tokens: parts.witness.tokens(),
            }
        })
    }
}

impl Plan {
    fn of(chance: &Chance) -> Self {
        let exclusive = chance.percent(35);
        let connections = chance.of(1..4);
        let manner = Manner {
            grace: *chance.pick(&[0, 0, 0, 20, 300]),
            rotates: chance.percent(90),
            lifetime: *chance.pick(&[20, 60, 120, 300, 900]),
        };
        Self {
            exclusive,
            processes: if exclusive { 1 } else { chance.of(2..5) },
            names: (0..connections).map(|number| format!("app/c{number}").parse().unwrap()).collect(),
            manner,
            network: chance.percent(70),
            crashes: chance.percent(60),
            pauses: chance.percent(35),
            jumps: chance.percent(15),
            revocations: chance.percent(30),
            ends: chance.percent(25),
            edits: chance.percent(30),
            scripts: chance.percent(35),
            steps: chance.of(20..70),
            pace: *chance.pick(&[30, 500, 5_000, 40_000]),
        }
    }
}

/// How a grant is at the provider, and how many requests it has seen.
#[derive(PartialEq, Eq)]
struct Requests {
    /// By the provider itself.
    is_ended: bool,
    number: u32,
}

struct Run {
    plan: Plan,
    parts: Arc<Parts>,
    processes: Vec<Arc<Process>>,
    started: u64,
}

impl Run {
    fn new(kit: &Kit, seed: u64, aloud: bool) -> Self {
        let world = World::new(seed, aloud);
        let plan = Plan::of(&world.chance);
        let parts = kit.parts(&world, plan.manner, plan.exclusive);
        Self { plan, parts, processes: Vec::new(), started: 0 }
    }

    async fn whole(&mut self) {
        for _ in 0..self.plan.processes {
            self.start();
        }
        self.processes[0].apply("OAuthUtil").await.unwrap();
        for name in self.plan.names.clone() {
            self.processes[0].connect(&name).await;
        }
        for _ in 0..self.plan.steps {
            self.step().await;
            let pace = self.plan.pace;
            self.parts.world.pass_some(0..pace).await;
            self.parts.witness.look().await;
            if self.parts.world.is_broken().is_some() {
                return;
            }
        }
        self.mend().await;
        if self.parts.world.is_broken().is_some() {
            return;
        }
        self.parts.witness.judge().await;
    }

    fn start(&mut self) {
        let background = self.parts.world.chance.percent(70);
        self.processes.push(Arc::new(Process::start(&self.parts, self.started, background)));
        self.started += 1;
    }

    async fn step(&mut self) {
        let chance = &self.parts.world.chance;
        let name = chance.pick(&self.plan.names).clone();
        let kind = chance.of(0..100);
        let plan = &self.plan;
        match kind {
            0..10 if plan.network => self.parts.network.set(weather(chance)),
            10..20 if plan.crashes && !self.processes.is_empty() => {
                let at = usize::try_from(chance.of(0..self.processes.len() as u64)).unwrap();
                self.processes.remove(at).kill().await;
            }
            20..27 if plan.pauses => {
                if let Some(process) = self.running() {
                    self.parts.witness.is_rough();
                    self.parts.world.tell(|| format!("process {}: is paused", process.life.number));
                    process.life.pause();
                }
            }
            27..32 => self.processes.iter().for_each(|process| process.life.resume()),
            32..35 if plan.jumps => {
                let millis = *chance.pick(&[1_000, 30_000, 90_000, 200_000, 3_600_000, -5_000, -200_000]);
                self.parts.witness.is_rough();
                self.parts.world.tell(|| format!("clocks jump by {millis} ms"));
                self.parts.world.jump(millis);
            }
            35..39 if plan.revocations => {
                if let Some(process) = self.running() {
                    process.revoke(&name);
                }
            }
            39..43 if plan.revocations || plan.ends => {
                if let Some(process) = self.running() {
                    process.connect_behind(&name);
                }
            }
            43..46 if plan.ends => {
                for stored in self.parts.disk.connections().await {
                    let token = self.parts.disk.refresh_token(stored.value.id).await;
                    let held = token.as_deref().and_then(super::provider::held_of);
                    if let Some(held) = held.filter(|_| stored.value.name == name) {
                        self.parts.world.tell(|| format!("provider: grant {} ends by itself", held.grant));
                        self.parts.network.provider.end(held.grant);
                    }
                }
            }
            46..51 if plan.edits => {
                let seconds = i64::try_from(chance.of(0..1000)).unwrap() - 200;
                if let Some(process) = self.running() {
                    process.edit(&name, seconds);
                }
            }
            51..58 if plan.scripts => {
                let script =
                    *chance.pick(&["OAuthUtil", "OAuthUtil", "OAuthStops", "OAuthThrows", "OAuthLoses", "OAuthWavers"]);
                if let Some(process) = self.running() {
                    self.parts.world.tell(|| format!("the script is {script}"));
                    tokio::spawn(async move { process.apply(script).await });
                }
            }
            58..62 => {
                if let Some(process) = self.running() {
                    process.refresh_due();
                }
            }
            62..68 if (self.processes.len() as u64) < plan.processes => self.start(),
            _ => {
                for _ in 0..chance.of(1..4) {
                    let want = match chance.of(0..10) {
                        0..4 => Want::Working,
                        4..6 => good_for(chance.of(1..400)),
                        6..9 => Want::NewerThan(self.generation(&name).await.saturating_sub(chance.of(0..10) / 8)),
                        _ => Want::Anew(self.generation(&name).await),
                    };
                    if let Some(process) = self.running() {
                        process.ask(&name, want);
                    }
                }
            }
        }
    }

    /// The network is well, the script is whole, processes run, and time passes; then each connection is refreshed.
    async fn mend(&mut self) {
        let world = Arc::clone(&self.parts.world);
        world.tell(|| "everything is mended".to_owned());
        self.parts.network.set(Weather::default());
        self.processes.iter().for_each(|process| process.life.resume());
        while (self.processes.len() as u64) < self.plan.processes {
            self.start();
        }
        let process = Arc::clone(&self.processes[0]);
        // Of two who apply at once the last one wins, and somebody may be about it.
        loop {
            if let Err(error) = process.apply("OAuthUtil").await {
                world.tell(|| format!("applying again: {error}"));
            }
            world.pass(1000).await;
            if self.script_is("OAuthUtil").await {
                break;
            }
        }
        // Longer than a lease and the longest wait.
        world.pass(300_000).await;
        for name in self.plan.names.clone() {
            for turn in 0.. {
                let before = self.requests(&name).await;
                match process.refresh(&name).await {
                    // A reply that was kept, and nobody was asked. Only who asks can know.
                    Ok(_) if turn < 10 && before.is_ended && self.requests(&name).await == before => {
                        world.tell(|| format!("{name} is refreshed, and nobody was asked"));
                    }
                    Err(Error::Refresh(error)) if error.retryable() && turn < 10 => {
                        world.tell(|| format!("{name}: {error}"));
                        world.pass(100_000).await;
                    }
                    Ok(_)
                    | Err(
                        Error::Refresh(
                            RefreshError::ReauthorizationRequired { .. }
                            | RefreshError::Revoked(_)
                            | RefreshError::NotAuthorized { .. },
                        )
                        // Its connect never came to its commit.
                        | Error::NoConnection(_),
                    ) => break,
                    Err(other) => {
                        world.broken(format!("{name} does not come back: {other}"));
                        break;
                    }
                }
            }
        }
        self.settle().await;
    }

    /// Lets background jobs of other processes that are amid a refresh come to its end: what the provider has rotated is on its way.
    async fn settle(&self) {
        for _ in 0..100 {
            let mut under_way = false;
            for name in &self.plan.names {
                if let Some(connection) = self.parts.disk.glass.connection(name).await.unwrap() {
                    let entry = self.parts.disk.glass.flight(connection.value.id).await.unwrap();
                    // One that somebody let go of is nobody's.
                    under_way |= entry.is_some_and(|entry| !entry.owner.is_nil());
                }
            }
            if !under_way {
                return;
            }
            self.parts.world.pass(1000).await;
        }
    }

    async fn script_is(&self, script: &str) -> bool {
        let application = self.parts.disk.glass.application(&"app".parse().unwrap()).await.unwrap().unwrap();
        application.value.script.is_some_and(|name| name.as_str() == script)
    }

    /// What was asked of the grant that a connection holds.
    async fn requests(&self, name: &ConnectionName) -> Requests {
        let stored = self.parts.disk.glass.connection(name).await.unwrap();
        let token = match stored {
            Some(stored) => self.parts.disk.refresh_token(stored.value.id).await,
            None => None,
        };
        let provider = &self.parts.network.provider;
        match token.as_deref().and_then(super::provider::held_of) {
            Some(held) => Requests {
                is_ended: provider.grant(held.grant).ended == Some(Ended::Itself),
                number: provider.asked_of(held.grant),
            },
            None => Requests { is_ended: false, number: 0 },
        }
    }

    /// A process that runs, if there is one.
    fn running(&self) -> Option<Arc<Process>> {
        let running = self.processes.iter().filter(|process| process.life.is_running());
        let running: Vec<Arc<Process>> = running.cloned().collect();
        (!running.is_empty()).then(|| self.parts.world.chance.pick(&running).clone())
    }

    async fn generation(&self, name: &ConnectionName) -> u64 {
        self.parts.disk.glass.connection(name).await.unwrap().map_or(0, |stored| stored.value.generation)
    }
}

fn weather(chance: &Chance) -> Weather {
    match chance.of(0..10) {
        0..3 => Weather::default(),
        3 => Weather { unreachable: 80, ..Weather::default() },
        4 => Weather { gateway: 90, ..Weather::default() },
        5 => Weather { limited: 90, ..Weather::default() },
        6 => Weather { slow: 80, ..Weather::default() },
        7 => Weather { reply_lost: 40, lost: 20, ..Weather::default() },
        8 => Weather { page: 50, ..Weather::default() },
        _ => Weather { unreachable: 10, lost: 10, reply_lost: 5, gateway: 10, page: 5, limited: 10, slow: 20 },
    }
}
