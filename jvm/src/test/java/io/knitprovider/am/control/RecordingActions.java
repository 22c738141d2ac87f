package io.knitprovider.am.control;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.KeyValueStore;
import io.knitprovider.am.state.LateJournal;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.state.UnknownContainer;
import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;

/** Does nothing but note what it was told. */
final class RecordingActions implements ControlActions {

  final List<String> calls = new ArrayList<>();
  final KeyValueStore values = new KeyValueStore(entry -> {});
  Resources own;
  boolean unknown;
  boolean recovering;
  boolean ending;
  boolean broken;
  boolean late;
  Long remaining;

  @Override
  public JSONObject status() {
    if (broken) {
      throw new IllegalStateException("broken");
    }
    return new JSONObject().put("state", "RUNNING");
  }

  @Override
  public JSONArray containers() {
    return new JSONArray();
  }

  @Override
  public JSONObject scale(String service, Integer instances, Integer delta, Resources resources) {
    calls.add("scale " + service + " " + instances + " " + delta + " " + resources);
    return new JSONObject();
  }

  @Override
  public JSONObject remove(List<String> containerIds) {
    if (unknown) {
      throw new UnknownContainer("who is that");
    }
    calls.add("remove " + containerIds);
    return new JSONObject();
  }

  @Override
  public JSONObject change(
      String service, List<Integer> add, List<Integer> remove, Resources resources) {
    calls.add("change " + service + " " + add + " " + remove + " " + resources);
    return new JSONObject();
  }

  @Override
  public KeyValueStore values() {
    return values;
  }

  @Override
  public void keep() {
    calls.add("keep");
    if (late) {
      throw new LateJournal("it may be kept or not");
    }
  }

  @Override
  public Long renewLease() {
    calls.add("renew");
    return remaining;
  }

  @Override
  public void endLease() {
    calls.add("detach");
  }

  @Override
  public void progress(double part) {
    calls.add("progress " + part);
  }

  @Override
  public void shutdown(Outcome outcome) {
    calls.add(
        "shutdown " + outcome.finalStatus + " " + outcome.diagnostics + " " + outcome.exitCode);
  }

  @Override
  public boolean isRecovering() {
    return recovering;
  }

  @Override
  public boolean isEnding() {
    return ending;
  }

  @Override
  public Resources resourcesOf(String service) {
    return own;
  }

  @Override
  public String ownContainer() {
    return "am";
  }
}
