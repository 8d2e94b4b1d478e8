//! A decode step, taken apart, as a table.

use dropless::testing::bench::Profile;

/// The step as a whole.
pub fn heading(profile: &Profile) -> String {
    let Profile { case, tokens, us, device_us, launches } = profile;
    let (count, sum) = launches.iter().fold((0, 0.0), |(n, sum), l| (n + l.count, sum + l.us));
    let apart = match count {
        0 => "launches cannot be timed one by one here".into(),
        _ => format!("{count} launches one by one {sum:.1}"),
    };
    format!("{case} {tokens}: a step {us:.1} us, on the device {device_us:.1}, {apart}")
}

/// A line for each kind of launch, the longest together first.
pub fn table(profile: &Profile) -> Vec<Vec<String>> {
    let mut launches: Vec<_> = profile.launches.iter().collect();
    launches.sort_by(|a, b| b.us.total_cmp(&a.us));
    let heading = ["op", "kernel", "workgroups", "launches", "us each", "us together"];
    let line = |l: &&dropless::testing::bench::Launches| {
        let each = l.us / l.count as f64;
        let cells = [l.workgroups.to_string(), l.count.to_string(), format!("{each:.2}"), format!("{:.1}", l.us)];
        [vec![l.op.clone(), l.kernel.clone()], cells.to_vec()].concat()
    };
    match launches.is_empty() {
        true => Vec::new(),
        false => std::iter::once(heading.map(String::from).to_vec()).chain(launches.iter().map(line)).collect(),
    }
}
