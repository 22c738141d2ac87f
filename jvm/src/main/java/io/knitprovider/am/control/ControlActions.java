package io.knitprovider.am.control;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.KeyValueStore;
import io.knitprovider.am.state.LateJournal;
import io.knitprovider.am.state.Outcome;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;

/** What the control channel can make the ApplicationMaster do. */
public interface ControlActions {

  JSONObject status();

  JSONArray containers();

  /** One of {@code instances} and {@code delta} is null. */
  JSONObject scale(String service, Integer instances, Integer delta, Resources resources);

  JSONObject remove(List<String> containerIds);

  /** Adds and removes instances by index; {@code resources} are those of the added ones. */
  JSONObject change(String service, List<Integer> add, List<Integer> remove, Resources resources);

  KeyValueStore values();

  /**
   * Returns once a later attempt would know of all changes so far.
   *
   * @throws LateJournal when that takes too long
   */
  void keep();

  /** Milliseconds left, or null where the application is not bound. */
  Long renewLease();

  void endLease();

  void progress(double part);

  void shutdown(Outcome outcome);

  /**
   * Whether an earlier attempt's decisions are still being read, so that nothing can be changed.
   */
  boolean isRecovering();

  /** Whether the application is already on its way out. */
  boolean isEnding();

  /** The specification's resources of a service, to complete partial ones; null where unknown. */
  Resources resourcesOf(String service);

  /** Id of the ApplicationMaster's own container. */
  String ownContainer();
}
