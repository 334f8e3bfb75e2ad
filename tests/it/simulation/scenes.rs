//! What the simulation has found, as short scenes: the seeds that found it mean something else with every change of the
//! simulation.

use super::network::Weather;
use super::process::{Parts, Process};
use super::provider::{Held, Manner};
use super::story::Kit;
use super::with_room;
use super::world::World;
use grantkeeper::model::{ConnectionName, ConnectionState, ReauthorizationReason, Seeded};
use grantkeeper::refresh::Want;
use std::future::Future;
use std::sync::Arc;

/// Processes that share a store, with one connection.
struct Scene {
    parts: Arc<Parts>,
    processes: Vec<Process>,
    name: ConnectionName,
}

const FIRST: Held = Held { grant: 0, index: 0 };
const ROTATION_LOST: ConnectionState = ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost);

/// Plays a scene with a provider that forgives a used refresh token for so many seconds.
fn play<F: Future<Output = ()>>(grace: u64, scene: impl FnOnce(Scene) -> F + Send + 'static) {
    with_room(move || {
        let _seeded = Seeded::by(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new(1, true);
            let parts = Kit::new().parts(&world, Manner { grace, rotates: true, lifetime: 600 }, false);
            let processes: Vec<_> = (0..3).map(|number| Process::start(&parts, number, false)).collect();
            processes[0].apply("OAuthUtil").await.unwrap();
            let name: ConnectionName = "app/one".parse().unwrap();
            assert!(processes[0].connect(&name).await);
            scene(Scene { parts: Arc::clone(&parts), processes, name }).await;
            parts.witness.judge().await;
            assert_eq!(world.is_broken(), None);
        });
    });
}

impl Scene {
    /// Lets a process ask for a newer token, and returns when its request has left.
    async fn ask_and_leave(&self, process: usize, held: Held) {
        let before = self.parts.network.provider.asked(held);
        let generation = self.generation().await;
        self.processes[process].ask(&self.name, Want::NewerThan(generation));
        while self.parts.network.provider.asked(held) == before {
            self.parts.world.pass(1).await;
        }
    }

    /// The same, and its request takes seconds to arrive.
    async fn ask_slowly(&self, process: usize, held: Held) {
        self.parts.network.set(Weather { slow: 100, ..Weather::default() });
        self.ask_and_leave(process, held).await;
        self.parts.network.set(Weather::default());
    }

    async fn until_its_grant_ends(&self) {
        while self.parts.network.provider.grant(0).ended.is_none() {
            self.parts.world.pass(10).await;
        }
    }

    async fn state(&self) -> ConnectionState {
        self.parts.disk.glass.connection(&self.name).await.unwrap().unwrap().value.state
    }

    async fn generation(&self) -> u64 {
        self.parts.disk.glass.connection(&self.name).await.unwrap().unwrap().value.generation
    }
}

#[test]
fn who_slept_through_its_lease_touches_no_later_entry() {
    play(3600, |scene| async move {
        let [sleeper, second, third] = &scene.processes[..] else { unreachable!() };
        // Connecting has used the first refresh token.
        scene.ask_and_leave(0, Held { index: 1, ..FIRST }).await;
        sleeper.life.pause();
        scene.parts.world.pass(200_000).await;
        // The second takes over and lets go; then it holds an entry of its own while the sleeper wakes.
        second.refresh(&scene.name).await.unwrap();
        scene.ask_and_leave(1, Held { index: 2, ..FIRST }).await;
        second.life.pause();
        sleeper.life.resume();
        scene.parts.world.pass(5_000).await;
        // Were the entry gone, this one would ask at the same time.
        third.ask(&scene.name, Want::NewerThan(scene.generation().await));
        scene.parts.world.pass(5_000).await;
        assert_eq!(scene.parts.network.provider.asked(Held { index: 2, ..FIRST }), 1);
        second.life.resume();
        scene.parts.world.pass(200_000).await;
    });
}

#[test]
fn a_reply_in_hand_is_taken_over_although_its_lease_is_anothers_by_now() {
    play(0, |scene| async move {
        let [sleeper, second, _] = &scene.processes[..] else { unreachable!() };
        scene.ask_and_leave(0, Held { index: 1, ..FIRST }).await;
        sleeper.life.pause();
        scene.parts.world.pass(200_000).await;
        // The second takes the lease, and reaches nobody.
        scene.parts.network.set(Weather { unreachable: 100, ..Weather::default() });
        second.refresh(&scene.name).await.unwrap_err();
        scene.parts.network.set(Weather::default());
        let before = scene.generation().await;
        sleeper.life.resume();
        scene.parts.world.pass(5_000).await;
        assert_eq!(scene.generation().await, before + 1);
        second.refresh(&scene.name).await.unwrap();
    });
}

#[test]
fn a_reply_that_a_script_silently_lost_is_read_again_and_not_asked_for_again() {
    play(0, |scene| async move {
        let [first, second, _] = &scene.processes[..] else { unreachable!() };
        first.apply("OAuthLoses").await.unwrap();
        first.refresh(&scene.name).await.unwrap_err();
        first.kill().await;
        second.apply("OAuthUtil").await.unwrap();
        // Longer than the dead one's lease.
        scene.parts.world.pass(150_000).await;
        second.refresh(&scene.name).await.unwrap();
        assert_eq!(scene.parts.network.provider.asked(Held { index: 1, ..FIRST }), 1);
        let stored = scene.parts.disk.glass.connection(&scene.name).await.unwrap().unwrap();
        assert_eq!(stored.value.state, ConnectionState::Active);
    });
}

#[test]
fn a_lease_of_a_machine_whose_clock_is_ahead_is_in_force() {
    play(0, |scene| async move {
        // Clocks of processes differ by up to two seconds, so of three one is ahead of another.
        for holder in 0..3 {
            let index = scene.parts.network.provider.grant(0).current;
            let held = Held { index, ..FIRST };
            scene.ask_and_leave(holder, held).await;
            for other in &scene.processes {
                other.ask(&scene.name, Want::NewerThan(scene.generation().await));
            }
            scene.parts.world.pass(10_000).await;
            assert_eq!(scene.parts.network.provider.asked(held), 1);
        }
    });
}

const HOUR: i64 = 3_600_000;

#[test]
fn what_came_while_its_token_was_sent_twice_is_in_doubt_although_nobody_lives_to_tell() {
    play(0, |scene| async move {
        let [slow, taker, third] = &scene.processes[..] else { unreachable!() };
        scene.ask_slowly(0, Held { index: 1, ..FIRST }).await;
        scene.parts.witness.is_rough();
        scene.parts.world.jump(HOUR);
        taker.refresh(&scene.name).await.unwrap();
        scene.until_its_grant_ends().await;
        slow.kill().await;
        third.refresh(&scene.name).await.unwrap_err();
        assert_eq!(scene.state().await, ROTATION_LOST);
    });
}

#[test]
fn a_request_that_others_overtook_several_generations_ago_may_still_end_the_grant() {
    play(0, |scene| async move {
        let [slow, taker, third] = &scene.processes[..] else { unreachable!() };
        scene.ask_slowly(0, Held { index: 1, ..FIRST }).await;
        scene.parts.witness.is_rough();
        scene.parts.world.jump(HOUR);
        for _ in 0..3 {
            taker.refresh(&scene.name).await.unwrap();
        }
        scene.until_its_grant_ends().await;
        slow.kill().await;
        third.refresh(&scene.name).await.unwrap_err();
        assert_eq!(scene.state().await, ROTATION_LOST);
    });
}

#[test]
fn who_is_refused_late_tells_a_refresh_that_is_under_way() {
    play(0, |scene| async move {
        let [_, taker, third] = &scene.processes[..] else { unreachable!() };
        scene.ask_slowly(0, Held { index: 1, ..FIRST }).await;
        scene.parts.witness.is_rough();
        scene.parts.world.jump(HOUR);
        taker.refresh(&scene.name).await.unwrap();
        // Nothing is in doubt any more of what came second, until the slow one's request arrives.
        taker.refresh(&scene.name).await.unwrap();
        scene.until_its_grant_ends().await;
        scene.ask_and_leave(2, Held { index: 3, ..FIRST }).await;
        third.life.pause();
        scene.parts.world.pass(20_000).await;
        third.life.resume();
        scene.parts.world.pass(20_000).await;
        assert_eq!(scene.state().await, ROTATION_LOST);
    });
}

#[test]
fn a_reply_that_a_script_cannot_read_is_kept_although_its_lease_is_anothers_by_now() {
    play(0, |scene| async move {
        let [first, taker, third] = &scene.processes[..] else { unreachable!() };
        first.apply("OAuthThrows").await.unwrap();
        scene.ask_slowly(0, Held { index: 1, ..FIRST }).await;
        scene.parts.witness.is_rough();
        scene.parts.world.jump(HOUR);
        // The second takes the lease, and its request is lost.
        scene.parts.network.set(Weather { lost: 100, ..Weather::default() });
        scene.ask_and_leave(1, Held { index: 1, ..FIRST }).await;
        taker.life.pause();
        scene.parts.world.pass(60_000).await;
        scene.parts.network.set(Weather::default());
        third.apply("OAuthUtil").await.unwrap();
        taker.life.resume();
        scene.parts.world.pass(200_000).await;
        third.refresh(&scene.name).await.unwrap();
        assert_eq!(scene.parts.network.provider.asked(Held { index: 1, ..FIRST }), 2);
        assert_eq!(scene.state().await, ConnectionState::Active);
    });
}

#[test]
fn a_revocation_that_takes_long_does_not_end_what_a_new_consent_brought_meanwhile() {
    play(0, |scene| async move {
        let [first, second, _] = &scene.processes[..] else { unreachable!() };
        scene.parts.network.set(Weather { slow: 100, ..Weather::default() });
        first.revoke(&scene.name);
        // It is durable here, and the provider has not heard of it.
        scene.parts.world.pass(1_000).await;
        scene.parts.network.set(Weather::default());
        second.apply("OAuthThrows").await.unwrap();
        // The new grant's first reply is kept, for a script that can read it.
        assert!(!second.connect(&scene.name).await);
        scene.parts.world.pass(120_000).await;
        second.apply("OAuthUtil").await.unwrap();
        scene.parts.world.pass(120_000).await;
        second.refresh(&scene.name).await.unwrap();
        assert_eq!(scene.state().await, ConnectionState::Active);
    });
}
