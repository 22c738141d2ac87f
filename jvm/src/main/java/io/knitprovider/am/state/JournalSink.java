package io.knitprovider.am.state;

import org.json.JSONObject;

/** Takes what a later attempt has to know, in order. It must not block. */
public interface JournalSink {

  void write(JSONObject entry);
}
