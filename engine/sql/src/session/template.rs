//! The plan of a prepared query or change, kept from one execution to the next.
//!
//! What is kept is the plan as it was made of the text, with its names resolved, its parameters open, and before any rule has seen
//! it. So nothing that is computed while planning lasts longer than one execution: `now()`, what a parameter's value lets the
//! optimizer do, what the statistics of the moment say.
//!
//! **When it holds.** For the generation of the catalog that it was made for, and for the session whose settings have not
//! changed since. Not in a transaction that has itself changed the catalog, and only if everything it reads is a table: what
//! other sources make of their arguments is for them to say anew.
//!
//! Left out: plans shared by sessions, and optimised plans with open parameters. The range of keys that a scan reads, a
//! LIMIT's effect and the order of joins follow from the values; a plan without them is often the wrong one.

use std::sync::Arc;

use aion_base::Result;
use aion_storage::Generation;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;

use super::direct::Choices;
use super::{Prepared, Session, columns, origins, parameters};
use crate::dml::{Change, plan_change};
use crate::planner::Planned;
use crate::response::Column;
use crate::table::Table;
use crate::transaction::Transaction;

/// The plan of a query: see the module's header.
#[derive(Debug)]
pub(super) struct Template {
    pub planned: Planned,
    pub columns: Arc<[Column]>,
    validity: Validity,
}

/// The plan of a change: its source, and what it does with it.
#[derive(Debug)]
pub(super) struct ChangeTemplate {
    pub planned: Planned,
    pub change: Arc<Change>,
    validity: Validity,
}

/// What a plan was made for.
#[derive(Debug)]
struct Validity {
    /// None where that cannot be told: it is for one execution.
    generation: Option<Generation>,
    /// The very object: another session, or other settings, have another.
    choices: Arc<Choices>,
}

impl Validity {
    fn holds(&self, now: &Self) -> bool {
        now.generation.is_some() && self.generation == now.generation && Arc::ptr_eq(&self.choices, &now.choices)
    }

    /// Whether a plan may be kept that was made for this.
    fn allows(&self, planned: &Planned) -> bool {
        self.generation.is_some() && reads_tables_only(&planned.plan)
    }
}

impl Session {
    fn validity(&self, transaction: &Transaction) -> Result<Validity> {
        let has_changed_catalog = self.block.as_ref().is_some_and(|block| block.has_changed_catalog);
        Ok(Validity {
            generation: transaction.generation()?.filter(|_| !has_changed_catalog),
            choices: self.choices.clone(),
        })
    }

    /// The plan of a prepared change for the catalog as a transaction sees it.
    ///
    /// # Errors
    /// 42xxx with a place.
    pub(super) fn change_template(
        &self,
        prepared: &Prepared,
        transaction: &Transaction,
    ) -> Result<Arc<ChangeTemplate>> {
        let validity = self.validity(transaction)?;
        let known = prepared.change_template.lock().clone();
        if let Some(known) = known.filter(|known| known.validity.holds(&validity)) {
            return Ok(known);
        }
        let catalog = self.catalog_of(transaction)?;
        let path = self.search_path()?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let names = self
            .names_within(&catalog, &path, prepared.within.as_ref())
            .with_cursors(&self.cursors);
        let statement = &prepared.statement;
        let (change, planned) = plan_change(names, statement.ast.clone(), parameters::known(&types), &statement.text)?;
        let is_kept = validity.allows(&planned);
        let template = Arc::new(ChangeTemplate {
            planned,
            change: Arc::new(change),
            validity,
        });
        *prepared.change_template.lock() = is_kept.then(|| template.clone());
        Ok(template)
    }

    /// The plan of a prepared query for the catalog as a transaction sees it.
    ///
    /// # Errors
    /// 42xxx with a place.
    pub(super) fn template(
        &self,
        prepared: &Prepared,
        query: &ast::Query,
        transaction: &Transaction,
    ) -> Result<Arc<Template>> {
        let validity = self.validity(transaction)?;
        let known = prepared.template.lock().clone();
        if let Some(known) = known.filter(|known| known.validity.holds(&validity)) {
            return Ok(known);
        }
        let catalog = self.catalog_of(transaction)?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let planned = self.plan_query(query, &types, &prepared.statement.text, &catalog)?;
        let is_kept = validity.allows(&planned);
        let columns = columns::of_query(query, planned.plan.schema().as_arrow())?;
        let template = Arc::new(Template {
            columns: columns::with_origins(&columns, origins::of_plan(&planned.plan, None)),
            validity,
            planned,
        });
        *prepared.template.lock() = is_kept.then(|| template.clone());
        Ok(template)
    }
}

/// Whether everything that a plan reads is a table of ours.
fn reads_tables_only(plan: &LogicalPlan) -> bool {
    let mut reads_other = false;
    let walked = plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::TableScan(scan) = plan {
            let source = scan.source.downcast_ref::<DefaultTableSource>();
            let table = source.and_then(|source| source.table_provider.downcast_ref::<Table>());
            // The row that a cursor is on is another one each time.
            reads_other |= table.is_none_or(Table::is_of_some_rows);
        }
        reads_other |= matches!(plan, LogicalPlan::Extension(_));
        Ok(match reads_other {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    walked.is_ok() && !reads_other
}

#[cfg(test)]
mod tests {
    use aion_catalog::Value;
    use aion_storage::{Store, StoreOptions};
    use datafusion::arrow::util::display::array_value_to_string;

    use super::*;
    use crate::engine::{Engine, EngineOptions};
    use crate::response::Response;
    use crate::session::SessionOptions;

    fn engine() -> Arc<Engine> {
        let options = EngineOptions {
            memory_bytes: 64 << 20,
            partitions: 2,
            copy_dir: None,
            index_dir: None,
            observer: None,
            pipeline: None,
        };
        Engine::new(Arc::new(Store::in_memory(&StoreOptions::default())), options).expect("an engine")
    }

    async fn prepare(session: &mut Session, sql: &str) -> Arc<Prepared> {
        let statement = session.parse(sql).expect("parsed").pop().expect("a statement");
        session.prepare(&statement, &[]).await.expect("prepared")
    }

    /// Rows as texts, or the error.
    async fn execute(
        session: &mut Session,
        prepared: &Arc<Prepared>,
        values: &[Value],
    ) -> std::result::Result<String, String> {
        let response = session.execute(prepared, values).await;
        let mut rows = match response.map_err(|error| error.to_string())? {
            Response::Done { tag } => return Ok(tag),
            Response::Rows(rows) => rows,
        };
        let mut out = Vec::new();
        while let Some(batch) = rows.next().await.map_err(|error| error.to_string())? {
            for row in 0..batch.num_rows() {
                let cells = batch
                    .columns()
                    .iter()
                    .map(|array| array_value_to_string(array, row).expect("shown"));
                out.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(out.join(" "))
    }

    async fn run(session: &mut Session, sql: &str) -> String {
        let prepared = prepare(session, sql).await;
        execute(session, &prepared, &[]).await.expect(sql)
    }

    fn is_kept(prepared: &Prepared) -> bool {
        prepared.template.lock().is_some()
    }

    /// Runs a test with a stack that a debug build's planner fits into.
    fn deep(test: impl Future<Output = ()> + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(test);
        });
        if let Err(panic) = thread.expect("a thread").join() {
            std::panic::resume_unwind(panic);
        }
    }

    /// An expression cannot wait for a query on a runtime of one thread: it is run on another.
    #[test]
    fn a_subquery_is_run_for_each_row_on_a_runtime_of_one_thread() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(&mut session, "CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
            run(
                &mut session,
                "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')",
            )
            .await;
            let sql = "SELECT k, (SELECT v FROM t AS i WHERE i.k > o.k AND v <> $1 ORDER BY k LIMIT 1) FROM t AS o ORDER BY k";
            let prepared = prepare(&mut session, sql).await;
            for (without, found) in [("none", "1|two 2|three 3|"), ("two", "1|three 2|three 3|")] {
                let values = [Value::Text(without.to_owned())];
                assert_eq!(execute(&mut session, &prepared, &values).await.as_deref(), Ok(found));
            }
        });
    }

    #[test]
    fn a_changed_table_is_planned_anew() {
        deep(async {
            let engine = engine();
            let mut session = Session::new(engine.clone(), SessionOptions::default());
            let mut other = Session::new(engine, SessionOptions::default());
            run(&mut other, "CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
            run(&mut other, "INSERT INTO t VALUES (1, 'one'), (2, 'two')").await;
            let prepared = prepare(&mut session, "SELECT * FROM t WHERE v <> $1 ORDER BY k").await;
            let values = [Value::Text("two".to_owned())];
            for _ in 0..2 {
                assert_eq!(execute(&mut session, &prepared, &values).await.as_deref(), Ok("1|one"));
                assert!(is_kept(&prepared));
            }
            run(&mut other, "DROP TABLE t").await;
            let missing = execute(&mut session, &prepared, &values).await.expect_err("no table");
            assert!(missing.contains("\"t\" does not exist"), "{missing}");
            run(&mut other, "CREATE TABLE t (v text, k bigint PRIMARY KEY, w boolean)").await;
            run(&mut other, "INSERT INTO t VALUES ('three', 3, true)").await;
            assert_eq!(
                execute(&mut session, &prepared, &values).await.as_deref(),
                Ok("three|3|true")
            );
            // What a transaction itself made is planned each time, and forgotten with it.
            run(&mut session, "BEGIN").await;
            run(&mut session, "DROP TABLE t").await;
            run(&mut session, "CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
            run(&mut session, "INSERT INTO t VALUES (4, 'four')").await;
            assert_eq!(execute(&mut session, &prepared, &values).await.as_deref(), Ok("4|four"));
            assert!(!is_kept(&prepared));
            run(&mut session, "ROLLBACK").await;
            assert_eq!(
                execute(&mut session, &prepared, &values).await.as_deref(),
                Ok("three|3|true")
            );
        });
    }

    #[test]
    fn the_search_path_is_part_of_the_plan() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(&mut session, "CREATE SCHEMA s").await;
            for schema in ["public", "s"] {
                run(&mut session, &format!("CREATE TABLE {schema}.t (v text)")).await;
                run(&mut session, &format!("INSERT INTO {schema}.t VALUES ('{schema}')")).await;
            }
            let prepared = prepare(&mut session, "SELECT v FROM t").await;
            assert_eq!(execute(&mut session, &prepared, &[]).await.as_deref(), Ok("public"));
            run(&mut session, "SET search_path = s").await;
            assert_eq!(execute(&mut session, &prepared, &[]).await.as_deref(), Ok("s"));
            run(&mut session, "RESET search_path").await;
            assert_eq!(execute(&mut session, &prepared, &[]).await.as_deref(), Ok("public"));
        });
    }

    /// The time of a statement is folded into its plan as a constant. A plan that were kept after that would tell the time of
    /// its first execution for ever.
    #[test]
    fn every_execution_has_its_own_time_and_chance() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(&mut session, "CREATE TABLE t (k integer)").await;
            run(&mut session, "INSERT INTO t VALUES (1)").await;
            for sql in ["SELECT now() FROM t", "SELECT random() FROM t"] {
                let prepared = prepare(&mut session, sql).await;
                let first = execute(&mut session, &prepared, &[]).await;
                assert!(is_kept(&prepared));
                assert_ne!(first, execute(&mut session, &prepared, &[]).await, "{sql}");
            }
        });
    }

    #[test]
    fn a_parameter_is_not_part_of_the_plan() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(&mut session, "CREATE TABLE t (k integer PRIMARY KEY)").await;
            run(&mut session, "INSERT INTO t VALUES (1), (2), (3), (4)").await;
            let sql = "SELECT count(*) FROM (SELECT k FROM t WHERE k > $1 LIMIT $2) AS s";
            let statement = session.parse(sql).expect("parsed").pop().expect("a statement");
            let types = [None, Some(aion_catalog::SqlType::BigInt)];
            let prepared = session.prepare(&statement, &types).await.expect("prepared");
            for (above, limit, found) in [
                (0, 2, "2"),
                (2, 9, "2"),
                (9, 1, "0"),
                (1, 0, "0"),
                (1, 1, "1"),
                (0, 9, "4"),
            ] {
                let values = [Value::I32(above), Value::I64(limit)];
                assert_eq!(execute(&mut session, &prepared, &values).await.as_deref(), Ok(found));
            }
            let nothing = [Value::Null, Value::I64(1)];
            assert_eq!(execute(&mut session, &prepared, &nothing).await.as_deref(), Ok("0"));
        });
    }

    fn is_change_kept(prepared: &Prepared) -> bool {
        prepared.change_template.lock().is_some()
    }

    /// Each UPDATE and DELETE that had no key in its condition was planned anew each time.
    #[test]
    fn a_change_is_planned_once_for_a_table() {
        deep(async {
            let engine = engine();
            let mut session = Session::new(engine.clone(), SessionOptions::default());
            let mut other = Session::new(engine, SessionOptions::default());
            run(
                &mut other,
                "CREATE TABLE t (k integer PRIMARY KEY, v integer, w integer DEFAULT 7)",
            )
            .await;
            run(
                &mut other,
                "INSERT INTO t SELECT i, i FROM generate_series(1, 9) AS s(i)",
            )
            .await;
            let update = prepare(&mut session, "UPDATE t SET v = v + $1 WHERE v > $2").await;
            for (above, tag) in [(7, "UPDATE 2"), (5, "UPDATE 4"), (99, "UPDATE 0")] {
                let values = [Value::I32(1), Value::I32(above)];
                assert_eq!(execute(&mut session, &update, &values).await.as_deref(), Ok(tag));
                assert!(is_change_kept(&update));
            }
            let sums = "SELECT sum(v), sum(w) FROM t";
            assert_eq!(run(&mut session, sums).await, "51|63");
            // A column that is added has its default in rows that are inserted from then on, and a condition holds for those that are updated.
            let insert = prepare(
                &mut session,
                "INSERT INTO t (k, v) SELECT k + 100, v FROM t WHERE k = $1",
            )
            .await;
            assert_eq!(
                execute(&mut session, &insert, &[Value::I32(1)]).await.as_deref(),
                Ok("INSERT 0 1")
            );
            run(
                &mut other,
                "ALTER TABLE t ADD COLUMN x integer DEFAULT 5, ADD CHECK (v < 50)",
            )
            .await;
            assert_eq!(
                execute(&mut session, &insert, &[Value::I32(2)]).await.as_deref(),
                Ok("INSERT 0 1")
            );
            assert_eq!(run(&mut session, "SELECT x FROM t WHERE k = 102").await, "5");
            let refused = execute(&mut session, &update, &[Value::I32(60), Value::I32(0)]).await;
            assert!(refused.expect_err("a condition").contains("t_v_check"));
            run(&mut other, "DROP TABLE t").await;
            let missing = execute(&mut session, &update, &[Value::I32(1), Value::I32(0)]).await;
            assert!(missing.expect_err("no table").contains("\"t\" does not exist"));
        });
    }

    /// What is computed for each row, or once for each execution, is not part of what is kept.
    #[test]
    fn every_change_has_its_own_time_and_numbers() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(
                &mut session,
                "CREATE TABLE t (k serial PRIMARY KEY, at timestamptz DEFAULT now(), v integer UNIQUE)",
            )
            .await;
            let insert = prepare(&mut session, "INSERT INTO t (v) SELECT $1::integer").await;
            let upsert = prepare(
                &mut session,
                "INSERT INTO t (v) VALUES ($1) ON CONFLICT (v) DO UPDATE SET v = excluded.v + 10 RETURNING k",
            )
            .await;
            for number in 1..=3 {
                assert!(execute(&mut session, &insert, &[Value::I32(number)]).await.is_ok());
            }
            assert_eq!(
                run(&mut session, "SELECT count(DISTINCT at), max(k) FROM t").await,
                "3|3"
            );
            for number in 1..=3 {
                let found = execute(&mut session, &upsert, &[Value::I32(number)]).await;
                assert_eq!(found, Ok(number.to_string()));
            }
            assert!(is_change_kept(&insert) && is_change_kept(&upsert));
            assert_eq!(run(&mut session, "SELECT min(v), max(v) FROM t").await, "11|13");
        });
    }

    /// The plan of a change at a cursor reads the one row that the cursor is on: kept, it would change that row again and again.
    #[test]
    fn a_change_at_a_cursor_is_planned_each_time() {
        deep(async {
            let mut session = Session::new(engine(), SessionOptions::default());
            run(&mut session, "CREATE TABLE t (k integer PRIMARY KEY, v integer)").await;
            run(&mut session, "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
            run(&mut session, "BEGIN").await;
            run(&mut session, "DECLARE c CURSOR FOR SELECT * FROM t").await;
            let update = prepare(&mut session, "UPDATE t SET v = v + 1 WHERE CURRENT OF c").await;
            for _ in 0..3 {
                run(&mut session, "FETCH c").await;
                assert_eq!(execute(&mut session, &update, &[]).await.as_deref(), Ok("UPDATE 1"));
                assert!(!is_change_kept(&update));
            }
            run(&mut session, "COMMIT").await;
            assert_eq!(run(&mut session, "SELECT v FROM t ORDER BY k").await, "11 21 31");
        });
    }
}
