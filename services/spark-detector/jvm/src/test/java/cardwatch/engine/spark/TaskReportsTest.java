package cardwatch.engine.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import cardwatch.engine.event.Field;
import cardwatch.engine.program.SetAside;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class TaskReportsTest {
  private static final int REPORT = ResultRows.TYPE.fieldIndex("report");

  @Test
  void aRuleThatIsSetAsideIsReportedOnce() {
    TaskReports reports = new TaskReports(UUID.randomUUID(), List.of(new SetAside("r", 2, "no such thing")));
    List<Row> rows = new ArrayList<>();
    reports.failures(engine(), rows);
    reports.failures(engine(), rows);
    assertEquals(1, rows.size());
    assertEquals("{\"failed\":{\"r\":\"no such thing\"},\"seconds\":{},\"rows\":0,\"redecided\":0}",
        rows.get(0).getString(REPORT));
  }

  @Test
  void aTaskWithoutRulesLeavesNothing() {
    UUID run = UUID.randomUUID();
    new TaskReports(run, List.of()).keep(List.of(engine()));
    assertTrue(new TaskReports(run, List.of()).ofEarlierTasks().isEmpty());
  }

  private static ScopeEngine engine() {
    return new ScopeEngine(new Options.Scope("card", Field.CARD_TOKEN, 1), null, 5);
  }
}
