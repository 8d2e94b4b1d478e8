//! An estimate in words.

use super::Estimate;
use super::facts::Facts;

impl Estimate {
    /// The largest of the bounds, with loads from L2 (0) or memory (1), and its name.
    fn clocks(&self, from: usize) -> (u64, &'static str) {
        let bounds = [
            (self.matrix, "matrix units"),
            (self.vector, "vector units"),
            (self.lds, "LDS"),
            (self.l2, "L2"),
            (self.chain[from], "a wave's own chain"),
        ];
        bounds.into_iter().max_by_key(|(clocks, _)| *clocks).unwrap_or_default()
    }

    /// Percent of the matrix units' peak, and what binds, where it uses them.
    pub fn of_peak(&self) -> Option<(f64, &'static str)> {
        let (clocks, by) = self.clocks(0);
        (self.flops > 0).then(|| (self.matrix as f64 / clocks.max(1) as f64 * 100.0, by))
    }

    /// Percent of the memory's bandwidth that it could take, and what binds.
    pub fn of_memory(&self, facts: &Facts) -> (f64, &'static str) {
        let (clocks, by) = self.clocks(1);
        let share = self.bytes as f64 / facts.memory / clocks.max(1) as f64 * 100.0;
        if share < 100.0 { (share, by) } else { (100.0, "memory") }
    }

    pub fn words(&self, facts: &Facts) -> String {
        let mut out = format!("{}: {} waves", self.entry, self.waves);
        if let Some((share, by)) = self.of_peak() {
            out += &format!(", {share:.1} % of matrix peak ({by})");
        }
        let (share, by) = self.of_memory(facts);
        out += &format!(", {share:.1} % of memory bandwidth ({by}); {} bytes, {} operations; ", self.bytes, self.flops);
        out += &format!("clocks of matrix units {}, vector units {}, ", self.matrix, self.vector);
        out += &format!("LDS {}, L2 {}, a wave's own {} from L2, ", self.lds, self.l2, self.chain[0]);
        out + &format!("{} from memory", self.chain[1])
    }
}
