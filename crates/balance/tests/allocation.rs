//! A choice takes no memory: what it needs was made when the group was, however many servers there are.

use limpet_balance::{Ask, Group, Method, Server, Tried, Until};

const METHODS: [Method; 12] = [
    Method::RoundRobin,
    Method::AddressHash,
    Method::Hash,
    Method::Ketama,
    Method::Consistent,
    Method::LeastConn,
    Method::LeastTime { until: Until::Header, inflight: false },
    Method::LeastTime { until: Until::LastByte, inflight: true },
    Method::Random,
    Method::RandomTwo,
    Method::Vnswrr,
    Method::Iwrr,
];

#[test]
fn a_choice_allocates_nothing() {
    let control = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(control.count_total, 1);
    for method in METHODS {
        for count in [2_u32, 10_000] {
            let server = |n: u32| {
                let text: Box<str> = format!("127.0.{}.{}:80", n / 250, n % 250).into();
                let server = Server { text: text.clone(), name: text, weight: 1 + n % 3, ..Server::default() };
                (server, Default::default())
            };
            let group = Group::new(method, (0..count).map(server).collect());
            let mut progress = group.progress(7);
            let tried = Tried::default();
            let mut chosen = 0;
            let allocated = allocation_counter::measure(|| {
                // A new second in every other choice, so that all servers are looked at anew.
                for now in (0..20).map(|n: i64| 1_000_000 + n * 500) {
                    let key = now.to_be_bytes();
                    if let Some(index) = group.next(&mut progress, &Ask { key: &key, tried: &tried, now }) {
                        chosen += 1;
                        group.finished(index);
                    }
                }
            });
            assert_eq!((chosen, allocated.count_total), (20, 0), "{method:?} with {count} servers");
        }
    }
}
