//! A report as one page that needs nothing else: a roofline plot and the table.

use super::lines::{self, Extra, number};
use dropless::testing::bench::{Report, Row};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 8] = ["#1b6ca8", "#c0392b", "#1e8449", "#b7950b", "#7d3c98", "#ca6f1e", "#117a65", "#566573"];

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse}\
td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}td:first-child,td:nth-child(2),th{text-align:left}\
.met{color:#1e8449}.faster{color:#b7950b}.short{color:#c0392b}";

/// The page.
pub fn page(report: &Report, extra: &Extra<'_>) -> String {
    let first = report.rows.first();
    let text = |of: fn(&Row) -> &String| escape(first.map_or("", |r| of(r)));
    let (device, driver, commit) = (text(|r| &r.device), text(|r| &r.driver), text(|r| &r.commit));
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>dropless bench</title><style>{STYLE}</style>\n"
    );
    out += &format!("<h1>dropless bench</h1><p>{device}, {driver}, dropless {commit}</p>\n");
    let roof = &report.roof;
    out += &format!(
        "<p>Roof measured in this run: {:.0} GB/s ({}), {:.1} TFLOP/s ({}).</p>\n",
        roof.gbps.rate,
        escape(&roof.gbps.by),
        roof.tflops.rate,
        escape(&roof.tflops.by)
    );
    out += &plot(report);
    out += "<table>\n";
    for (i, line) in lines::table(report, extra).iter().enumerate() {
        let tag = if i == 0 { "th" } else { "td" };
        out += "<tr>";
        for cell in line {
            let class = if ["met", "faster", "short"].contains(&cell.as_str()) { cell.as_str() } else { "" };
            out += &format!("<{tag} class=\"{class}\">{}</{tag}>", escape(cell));
        }
        out += "</tr>\n";
    }
    out + "</table></html>\n"
}

/// A logarithmic axis onto a length.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Whole decades around the values.
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logs = values.filter(|v| v.is_finite() && *v > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low.floor(), high.ceil()) };
        Axis { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|d| 10f64.powi(d))
    }
}

/// TFLOP/s over operations a byte; the roof is the line above all points.
fn plot(report: &Report) -> String {
    let intensity = |r: &Row| 1e3 * r.tflops / r.gbps;
    let (peak, slope) = (report.roof.tflops.rate, report.roof.gbps.rate * 1e-3);
    let points: Vec<&Row> = report.rows.iter().filter(|r| r.tflops > 0.0 && r.gbps > 0.0).collect();
    let ridge = peak / slope;
    let x = Axis::new(points.iter().map(|r| intensity(r)).chain([ridge]), MARGIN, WIDTH - MARGIN);
    let y = Axis::new(points.iter().map(|r| r.tflops).chain([peak]), HEIGHT - MARGIN, MARGIN / 2.0);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" font-size=\"11\" role=\"img\">\n");
    for decade in x.decades() {
        let at = x.at(decade);
        out += &format!("<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"#eee\"/>", y.from, y.to);
        out += &format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade}</text>\n", y.from + 16.0);
    }
    for decade in y.decades() {
        let at = y.at(decade);
        out += &format!("<path d=\"M{:.1} {at:.1}H{:.1}\" stroke=\"#eee\"/>", x.from, x.to);
        out += &format!("<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{decade}</text>\n", x.from - 6.0);
    }
    if peak > 0.0 && slope > 0.0 {
        let start = 10f64.powf(x.low).max(10f64.powf(y.low) / slope);
        let (left, corner, right) = (x.at(start), x.at(ridge), x.to);
        let (low, top) = (y.at(start * slope), y.at(peak));
        out += &format!(
            "<path d=\"M{left:.1} {low:.1}L{corner:.1} {top:.1}H{right:.1}\" fill=\"none\" stroke=\"#222\"/>\n"
        );
    }
    let mut ops: Vec<&str> = points.iter().map(|r| r.op.as_str()).collect();
    ops.dedup();
    let colour = |op: &str| COLOURS[ops.iter().position(|o| *o == op).unwrap_or(0) % COLOURS.len()];
    for row in &points {
        let (cx, cy) = (x.at(intensity(row)), y.at(row.tflops));
        let title = format!(
            "{} {} {}: {} us, {:.0}% of the roof",
            row.op,
            row.case,
            row.tokens,
            number(row.us_median),
            row.roof_pct
        );
        out += &format!(
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\" fill=\"{}\"><title>{}</title></circle>\n",
            colour(&row.op),
            escape(&title)
        );
    }
    for (i, op) in ops.iter().enumerate() {
        let at = MARGIN / 2.0 + 14.0 * i as f64;
        out +=
            &format!("<text x=\"{:.1}\" y=\"{at:.1}\" fill=\"{}\">{}</text>\n", MARGIN + 8.0, colour(op), escape(op));
    }
    out += &format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">operations a byte</text>",
        WIDTH / 2.0,
        HEIGHT - 20.0
    );
    out + &format!("<text x=\"14\" y=\"{:.1}\">TFLOP/s</text></svg>\n", MARGIN / 2.0 - 4.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lines::tests::row;

    #[test]
    fn a_page_has_every_row_in_plot_and_table_and_loads_nothing() {
        let rows = vec![row("moe_mlp1", "20b", 4, 40.0), row("linear", "<odd>", 64, 12.5)];
        let mut report = Report { rows, ..Report::default() };
        (report.roof.gbps.rate, report.roof.tflops.rate) = (4000.0, 700.0);
        let page = page(&report, &Extra::default());
        assert_eq!(page.matches("<circle").count(), 2);
        assert_eq!(page.matches("<tr>").count(), 3);
        assert!(page.contains("&lt;odd&gt;") && !page.contains("<odd>"));
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("NaN"), "{page}");
    }

    #[test]
    fn a_page_of_nothing_is_still_a_page() {
        let page = page(&Report::default(), &Extra::default());
        assert!(page.contains("</html>") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn axes_are_whole_decades() {
        let axis = Axis::new([3.0, 40.0].into_iter(), 0.0, 200.0);
        assert_eq!(axis.decades().collect::<Vec<_>>(), [1.0, 10.0, 100.0]);
        assert_eq!([1.0, 10.0, 100.0].map(|v| axis.at(v)), [0.0, 100.0, 200.0]);
    }
}
