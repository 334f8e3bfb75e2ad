//! The plot of a day's refreshes: bars by the hour, drawn here as SVG, with the same figures as a table for who cannot see it.

use crate::model::Timestamp;
use jiff::SignedDuration;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// How refreshing went over a day.
#[derive(Debug, Clone)]
pub(super) struct Day {
    pub(super) until: Timestamp,
    /// By the hour, the last one last.
    pub(super) hours: Vec<Hour>,
    /// By what people call the provider.
    pub(super) providers: BTreeMap<String, Hour>,
}

/// Refreshes that succeeded, and connections that began to fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) good: usize,
    pub(super) failed: usize,
}

/// The plot's size, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 120.0;
/// Of one hour, with the gap beside it.
const STEP: f64 = WIDTH / 24.0;
const GAP: f64 = 4.0;

impl Hour {
    fn all(self) -> usize {
        self.good + self.failed
    }

    /// The share that succeeded; `None` where nothing was tried.
    fn share(self) -> Option<String> {
        let share = self.good.checked_mul(1000)?.checked_div(self.all())?;
        // Rounded down: only all is 100 %.
        Some(if share.is_multiple_of(10) {
            format!("{} %", share / 10)
        } else {
            format!("{}.{} %", share / 10, share % 10)
        })
    }
}

impl Day {
    fn whole(&self) -> Hour {
        self.hours
            .iter()
            .fold(Hour::default(), |sum, hour| Hour { good: sum.good + hour.good, failed: sum.failed + hour.failed })
    }

    pub(super) fn markup(&self) -> Markup {
        let whole = self.whole();
        let Some(share) = whole.share() else {
            return html! { p.soft { "No refresh was due." } };
        };
        html! {
            p { strong.figure { (share) } " succeeded: " (whole.good) " refreshed, " (whole.failed) " failed." }
            (self.bars())
            p.small.faint { "A connection that goes on failing is counted once." }
            table.small {
                caption.hidden-text { "Refreshes of the last 24 hours by provider" }
                thead { tr { th scope="col" { "Provider" } th.num scope="col" { "Refreshed" } th.num scope="col" { "Failed" } th.num scope="col" { "Success" } } }
                tbody {
                    @for (provider, count) in &self.providers {
                        tr {
                            th scope="row" { (provider) }
                            td.num { (count.good) }
                            td.num.failed[count.failed > 0] { (count.failed) }
                            td.num { (count.share().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }

    fn bars(&self) -> Markup {
        let most = self.hours.iter().map(|hour| hour.all()).max().unwrap_or(0).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a count of events, far below 2^52")]
        let high = |count: usize| count as f64 / most as f64 * HEIGHT;
        let label = |hour: usize| {
            let begin = SignedDuration::from_hours(i64::try_from(24 - hour).unwrap_or(0));
            self.until.checked_sub(begin).unwrap_or(self.until).strftime("%H:%M").to_string()
        };
        let text = format!(
            "Bars by the hour from {} to {} UTC; the most in one hour was {most}. The table below has the figures by provider.",
            label(0),
            label(24)
        );
        html! {
            figure.plot {
                svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 2.0)) role="img" aria-label=(text) preserveAspectRatio="none" {
                    line.base x1="0" x2=(WIDTH) y1=(HEIGHT + 1.0) y2=(HEIGHT + 1.0) {}
                    @for (at, hour) in self.hours.iter().enumerate() {
                        @let x = begin(at);
                        @let (good, failed) = (high(hour.good), high(hour.failed));
                        g {
                            title { (label(at)) ": " (hour.good) " refreshed, " (hour.failed) " failed" }
                            rect.hit x=(format!("{x:.1}")) width=(STEP) y="0" height=(HEIGHT) {}
                            rect.good-bar x=(format!("{x:.1}")) width=(STEP - GAP) y=(format!("{:.1}", HEIGHT - good)) height=(format!("{good:.1}")) {}
                            @if hour.failed > 0 { rect.bad-bar x=(format!("{x:.1}")) width=(STEP - GAP) y=(format!("{:.1}", HEIGHT - good - failed)) height=(format!("{:.1}", failed.max(2.0))) {} }
                        }
                    }
                }
                figcaption { @for hour in [0, 6, 12, 18] { span { (label(hour)) } } span { (label(24)) " UTC" } }
            }
        }
    }
}

fn begin(hour: usize) -> f64 {
    // At most 23.
    u32::try_from(hour).map_or(0.0, f64::from) * STEP + GAP / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_is_a_hundred_per_cent() {
        let share = |good, failed| Hour { good, failed }.share();
        assert_eq!(share(0, 0), None);
        assert_eq!(share(10, 0).as_deref(), Some("100 %"));
        assert_eq!(share(9999, 1).as_deref(), Some("99.9 %"));
        assert_eq!(share(0, 3).as_deref(), Some("0 %"));
        assert_eq!(share(1, 2).as_deref(), Some("33.3 %"));
    }
}
