//! Where a decode step's time goes: launches of the same kind together.

use crate::gpt_oss::StepTimes;
use serde::{Deserialize, Serialize};

/// A decode step, taken apart. Times are microseconds.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// Case of the row.
    pub case: String,
    /// Sequences.
    pub tokens: usize,
    /// By the caller's clock, the median.
    pub us: f64,
    /// The same work by the device's clock.
    pub device_us: f64,
    /// In the order in which each comes first.
    pub launches: Vec<Launches>,
}

/// Launches of one kernel with as many workgroups, each run by itself: what they overlap in a step, and what lies between
/// them, does not show.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Launches {
    /// Op.
    pub op: String,
    /// Entry point of the kernel.
    pub kernel: String,
    /// Workgroups of each.
    pub workgroups: usize,
    /// How many there are in a step.
    pub count: usize,
    /// All of them together.
    pub us: f64,
}

impl Profile {
    pub(super) fn new(case: String, tokens: usize, us: f64, times: &StepTimes) -> Self {
        let mut launches: Vec<Launches> = Vec::new();
        for launch in &times.launches {
            let us = launch.seconds * 1e6;
            let same = |l: &&mut Launches| {
                (l.op.as_str(), l.kernel.as_str(), l.workgroups) == (launch.op, launch.kernel, launch.workgroups)
            };
            match launches.iter_mut().find(same) {
                Some(known) => {
                    known.count += 1;
                    known.us += us;
                }
                None => launches.push(Launches {
                    op: launch.op.into(),
                    kernel: launch.kernel.into(),
                    workgroups: launch.workgroups,
                    count: 1,
                    us,
                }),
            }
        }
        Profile { case, tokens, us, device_us: times.device * 1e6, launches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::LaunchTime;

    #[test]
    fn launches_of_a_kernel_and_a_size_come_together() {
        let launch = |kernel, workgroups, seconds| LaunchTime { op: "rms_norm", kernel, workgroups, seconds };
        let launches = vec![launch("a", 1, 2e-6), launch("b", 1, 1e-6), launch("a", 2, 4e-6), launch("a", 1, 3e-6)];
        let profile = Profile::new("case".into(), 1, 20.0, &StepTimes { device: 15e-6, launches });
        let found: Vec<_> =
            profile.launches.iter().map(|l| (l.kernel.as_str(), l.workgroups, l.count, l.us.round() as u32)).collect();
        assert_eq!(found, [("a", 1, 2, 5), ("b", 1, 1, 1), ("a", 2, 1, 4)]);
        assert_eq!((profile.us, profile.device_us.round()), (20.0, 15.0));
    }
}
