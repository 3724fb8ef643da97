//! Valid exchanges with bytes changed on the way: never a panic, never a success.

use aion_base::rng::SeededRng;

use super::*;

/// Messages changed in each test.
const ROUNDS: usize = 20_000;
/// Challenges changed: each costs the client a Hi().
const CHALLENGES: usize = 50;

struct Noise {
    rng: SeededRng,
}

impl Noise {
    /// Prints its seed.
    fn new() -> Self {
        let seed = aion_base::rng::entropy();
        println!("seed {seed}");
        Self {
            rng: SeededRng::new(seed),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("small");
        usize::try_from(self.rng.below(limit.max(1))).expect("below a usize")
    }

    /// Bytes that mean something in a message come more often than others.
    fn byte(&mut self) -> u8 {
        const MEANT: &[u8] = b",=nypcrsimvea+/A\0";
        if self.rng.chance(2, 3) {
            return MEANT[self.below(MEANT.len())];
        }
        self.rng.next_u64().to_le_bytes()[0]
    }

    /// The message with one to four changes; never the message itself.
    fn change(&mut self, message: &[u8]) -> Vec<u8> {
        loop {
            let mut changed = message.to_vec();
            for _ in 0..=self.below(4) {
                self.change_once(&mut changed);
            }
            if changed != message {
                return changed;
            }
        }
    }

    fn change_once(&mut self, message: &mut Vec<u8>) {
        let place = self.below(message.len() + 1);
        let byte = self.byte();
        match self.below(7) {
            0 => message.truncate(place),
            1 => message.insert(place, byte),
            2 => {
                message.splice(place.., std::iter::repeat_n(byte, 1100));
            }
            3 if place < message.len() => {
                message.remove(place);
            }
            4 => {
                let other = self.below(message.len() + 1);
                let piece = message[place.min(other)..place.max(other)].to_vec();
                message.splice(place..place, piece);
            }
            5 => {
                let other = self.below(message.len() + 1);
                message.drain(place.min(other)..place.max(other));
            }
            _ if place < message.len() => message[place] = byte,
            _ => message.push(byte),
        }
    }
}

/// A client's messages, made once with fixed nonces, so that each round is cheap and the seed replays it.
struct Recorded {
    exchange: fn() -> Exchange,
    first: Vec<u8>,
    last: Vec<u8>,
}

fn plus_exchange() -> Exchange {
    let subject = Subject::new("user", rfc_verifier());
    Exchange::with_nonce(
        subject,
        Mechanism::ScramSha256Plus,
        certificate(1),
        RFC_SERVER_NONCE.to_owned(),
    )
}

fn plain_exchange() -> Exchange {
    let subject = Subject::new("user", rfc_verifier());
    Exchange::with_nonce(
        subject,
        Mechanism::ScramSha256,
        ChannelBinding::None,
        RFC_SERVER_NONCE.to_owned(),
    )
}

fn recorded() -> [Recorded; 2] {
    let record = |exchange: fn() -> Exchange, mechanism: &str, binding: ChannelBinding| {
        let nonce = RFC_CLIENT_NONCE.to_owned();
        let mut client = Client::with_nonce(&[mechanism], PASSWORD, &binding, "", nonce).expect("offered");
        let server_first = bytes(exchange().step(Some(&client.first())).expect("well-formed"));
        let (first, last) = (client.first(), client.answer(&server_first).expect("well-formed"));
        Recorded { exchange, first, last }
    };
    [
        record(plain_exchange, "SCRAM-SHA-256", ChannelBinding::None),
        record(plus_exchange, "SCRAM-SHA-256-PLUS", certificate(1)),
    ]
}

#[test]
fn the_server_takes_no_changed_message() {
    let mut noise = Noise::new();
    for recorded in recorded() {
        let mut whole = (recorded.exchange)();
        whole.step(Some(&recorded.first)).expect("unchanged");
        assert!(matches!(whole.step(Some(&recorded.last)), Ok(Step::Done(_))));
        for round in 0..ROUNDS {
            let mut exchange = (recorded.exchange)();
            let (mut first, mut last) = (recorded.first.clone(), recorded.last.clone());
            match round % 3 {
                0 => first = noise.change(&first),
                1 => last = noise.change(&last),
                _ => (first, last) = (noise.change(&first), noise.change(&last)),
            }
            let shown = || {
                format!(
                    "{:?}, {:?}",
                    String::from_utf8_lossy(&first),
                    String::from_utf8_lossy(&last)
                )
            };
            if exchange.step(Some(&first)).is_ok() {
                assert!(exchange.step(Some(&last)).is_err(), "{}", shown());
            }
            // Whatever went wrong, the right messages come too late.
            assert!(exchange.step(Some(&recorded.last)).is_err(), "{}", shown());
        }
    }
}

#[test]
fn the_server_takes_no_noise() {
    let mut noise = Noise::new();
    for _ in 0..ROUNDS {
        let mut exchange = plain_exchange();
        for _ in 0..3 {
            let length = noise.below(80);
            let message: Vec<u8> = (0..length).map(|_| noise.byte()).collect();
            let step = exchange.step(noise.rng.chance(9, 10).then_some(&message));
            assert!(!matches!(step, Ok(Step::Done(_))), "{message:?}");
        }
    }
}

#[test]
fn the_client_takes_no_changed_message() {
    let mut noise = Noise::new();
    // The iterations stay: a change there may ask for work that a test has no time for.
    let (changing, iterations) = RFC[1].split_at(RFC[1].find(",i=").expect("it has them"));
    for _ in 0..CHALLENGES {
        let mut client = rfc_client();
        let changed = [&noise.change(changing.as_bytes())[..], iterations.as_bytes()].concat();
        if client.answer(&changed).is_ok() {
            let shown = String::from_utf8_lossy(&changed).into_owned();
            assert!(client.finish(RFC[3].as_bytes()).is_err(), "{shown}");
        }
    }
    let mut proved = rfc_client();
    proved.answer(RFC[1].as_bytes()).expect("unchanged");
    for _ in 0..ROUNDS {
        let mut client = proved.clone();
        let changed = noise.change(RFC[3].as_bytes());
        // What follows the signature is an extension, which a client passes over.
        if !changed.starts_with(format!("{},", RFC[3]).as_bytes()) {
            assert!(
                client.finish(&changed).is_err(),
                "{}",
                String::from_utf8_lossy(&changed)
            );
        }
    }
}
