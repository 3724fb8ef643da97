//! Differences that are known, each with its reason; whoever removes the reason removes the line.

use super::compare::Difference;

struct Known {
    reason: &'static str,
    is: fn(&Difference) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        reason: "an integer constant is a bigint, and so is what is computed from it, whose sum is numeric; of varchar and text, it is text",
        is: |difference| {
            difference.what == "the types" && types(difference).all(|(theirs, ours)| is_near(theirs, ours))
        },
    },
    Known {
        reason: "an integer constant is a bigint, so what is computed from it has more room",
        is: |difference| {
            let is_range = |(code, message): &(String, String)| code == "22003" && message == "integer out of range";
            difference.theirs.error.as_ref().is_some_and(is_range) && difference.our_code() == "no error"
        },
    },
    Known {
        reason: "in which order the conditions of a query are looked at is not said: one may fail on rows that another leaves out",
        is: |difference| {
            difference.their_code() == "no error"
                && difference.our_code().starts_with("22")
                && difference.theirs.rows.is_empty()
                && difference.statement.sql.contains(" WHERE ")
        },
    },
    Known {
        reason: "PostgreSQL computes constants before it looks for rows, we with the rows",
        is: |difference| {
            difference.their_code().starts_with("22")
                && difference.our_code() == "no error"
                // One row is an aggregate of none.
                && difference.ours.rows.len() <= 1
        },
    },
    Known {
        reason: "numeric without a modifier has ten digits after the point, and avg of whole numbers is a double",
        is: |difference| {
            let both = difference
                .theirs
                .rows
                .iter()
                .flatten()
                .zip(difference.ours.rows.iter().flatten());
            difference.what == "the rows"
                && difference.theirs.rows.len() == difference.ours.rows.len()
                && both
                    .into_iter()
                    .all(|(theirs, ours)| theirs == ours || is_one_number(theirs.as_deref(), ours.as_deref()))
        },
    },
    Known {
        reason: "of several errors in the rows of one statement another one is told first: PostgreSQL goes row by row, we column by column",
        is: |difference| {
            let is_of_data = |code: &str| code.starts_with("22") || code.starts_with("23") || code == "42804";
            is_of_data(difference.their_code()) && is_of_data(difference.our_code()) && is_change(difference)
        },
    },
    Known {
        reason: "types of constants are looked at before their values in PostgreSQL",
        is: |difference| {
            matches!(difference.their_code(), "42804" | "42883") && difference.our_code().starts_with("22")
        },
    },
    Known {
        reason: "text is compared with numbers, which PostgreSQL refuses",
        is: |difference| {
            let says = |(code, message): &(String, String)| {
                code == "42883" && message.starts_with("operator does not exist: ")
            };
            difference.our_code() != "42883" && difference.theirs.error.as_ref().is_some_and(says)
        },
    },
    Known {
        reason: "a subquery knows the columns of the query right around it, and stands in no aggregate",
        is: |difference| {
            difference.their_code() == "no error"
                && difference.our_code() == "42703"
                && difference.statement.sql.matches("SELECT").count() > 1
        },
    },
    Known {
        reason: "sides of an INTERSECT or EXCEPT have columns of one name in different places",
        is: |difference| {
            let sql = &difference.statement.sql;
            difference.their_code() == "no error"
                && difference.our_code() == "42702"
                && (sql.contains(" INTERSECT ") || sql.contains(" EXCEPT "))
        },
    },
    Known {
        reason: "a view whose table had a column renamed keeps the old names in a derived table, and with it all columns",
        is: |difference| difference.our_code() == "2BP01" && difference.their_code() == "no error",
    },
    Known {
        reason: "two aggregates are one to DataFusion if they differ in a cast only",
        is: |difference| difference.our_code() == "42701" && difference.their_code() == "no error",
    },
    Known {
        reason: "what CASE, least and their like make of a character(n) is a text, without its blanks",
        is: |difference| {
            let is_shown = types(difference).any(|(theirs, ours)| theirs == 1042 && ours == 25);
            let bare = |rows: &[Vec<Option<String>>]| -> Vec<Vec<Option<String>>> {
                let cell = |cell: &Option<String>| cell.as_deref().map(|text| text.trim_end().to_owned());
                rows.iter().map(|row| row.iter().map(cell).collect()).collect()
            };
            difference.what == "the rows" && is_shown && bare(&difference.theirs.rows) == bare(&difference.ours.rows)
        },
    },
    Known {
        reason: "a literal in quotes is a text",
        is: |difference| {
            let says = |(_, message): &(String, String)| message.starts_with("could not determine polymorphic type");
            difference.theirs.error.as_ref().is_some_and(says)
        },
    },
    Known {
        reason: "a correlated subquery that DataFusion cannot make a join of",
        is: |difference| {
            let message = difference.ours.error.as_ref().map_or("", |(_, message)| message);
            let said = [
                "a subquery of IN, ANY, ALL or EXISTS that looks at the row around it",
                "Physical plan does not support logical expression",
                "single expression required",
                "Correlated scalar subquery can only be used",
            ];
            said.iter().any(|start| message.starts_with(start))
        },
    },
];

fn types(difference: &Difference) -> impl Iterator<Item = (u32, u32)> {
    let both = difference.theirs.columns.iter().zip(&difference.ours.columns);
    both.map(|((_, theirs), (_, ours))| (*theirs, *ours))
}

/// `int2`, `int4`, `int8`.
fn is_whole(oid: u32) -> bool {
    matches!(oid, 20 | 21 | 23)
}

/// `text`, `varchar`, `bpchar`.
fn is_text(oid: u32) -> bool {
    matches!(oid, 25 | 1042 | 1043)
}

fn is_near(theirs: u32, ours: u32) -> bool {
    theirs == ours
        || (is_whole(theirs) && (is_whole(ours) || ours == 1700))
        || (is_text(theirs) && is_text(ours))
        || (theirs == 1700 && ours == 701)
}

fn is_one_number(theirs: Option<&str>, ours: Option<&str>) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let (theirs, ours) = (number(theirs), number(ours));
    theirs.is_some() && theirs == ours
}

fn is_change(difference: &Difference) -> bool {
    let verb = difference.statement.sql.split(' ').next().unwrap_or_default();
    matches!(verb, "INSERT" | "UPDATE")
}

/// The reason of a known difference.
pub fn reason(difference: &Difference) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|known| (known.is)(difference))
        .map(|known| known.reason)
}
