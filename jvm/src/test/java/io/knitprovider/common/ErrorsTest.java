package io.knitprovider.common;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.lang.reflect.UndeclaredThrowableException;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.security.PrivilegedActionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.hdfs.protocol.DSQuotaExceededException;
import org.apache.hadoop.ipc.RemoteException;
import org.apache.hadoop.ipc.StandbyException;
import org.apache.hadoop.security.AccessControlException;
import org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException;
import org.apache.hadoop.yarn.exceptions.YarnException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ErrorsTest {

  static Stream<Arguments> kinds() {
    return Stream.of(
        Arguments.of(new InvalidInput("x"), Errors.INVALID_INPUT),
        Arguments.of(new TimeoutException(), Errors.DEADLINE),
        Arguments.of(new ApplicationNotFoundException("x"), Errors.APPLICATION_NOT_FOUND),
        Arguments.of(
            new AccessControlException("Permission denied: user=alice"), Errors.PERMISSION_DENIED),
        Arguments.of(
            new YarnException(new AccessControlException("queue")), Errors.PERMISSION_DENIED),
        Arguments.of(
            new AccessControlException(
                "SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]"),
            Errors.AUTHENTICATION_FAILED),
        Arguments.of(
            new IOException(
                "DestHost:destPort", new javax.security.sasl.SaslException("GSS initiate failed")),
            Errors.AUTHENTICATION_FAILED),
        Arguments.of(new FileNotFoundException("/x"), Errors.FILE_NOT_FOUND),
        Arguments.of(new FileAlreadyExistsException("/x"), Errors.FILE_EXISTS),
        Arguments.of(new DSQuotaExceededException(1, 2), Errors.INVALID_INPUT),
        Arguments.of(new ConnectException("Connection refused"), Errors.CLUSTER_UNAVAILABLE),
        Arguments.of(new SocketTimeoutException(), Errors.CLUSTER_UNAVAILABLE),
        Arguments.of(
            new IllegalArgumentException(new UnknownHostException("nosuch")),
            Errors.CLUSTER_UNAVAILABLE),
        Arguments.of(new StandbyException("standby"), Errors.CLUSTER_UNAVAILABLE),
        Arguments.of(new YarnException("queue is stopped"), Errors.INTERNAL),
        Arguments.of(new NullPointerException(), Errors.INTERNAL));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void everyErrorHasItsKind(Throwable error, String kind) {
    assertEquals(kind, Errors.type(error));
    assertEquals(kind, Errors.type(new ExecutionException(error)));
    assertEquals(kind, Errors.type(new UndeclaredThrowableException(error)));
  }

  @Test
  void anErrorFromTheOtherSideHasTheKindItHadThere() {
    RemoteException remote =
        new RemoteException(
            "org.apache.hadoop.security.AccessControlException", "Permission denied: user=alice");
    assertEquals(Errors.PERMISSION_DENIED, Errors.type(new ExecutionException(remote)));
    assertEquals("Permission denied: user=alice", Errors.message(remote));
  }

  @Test
  void aClassThatOnlyTheOtherSideHasIsRecognizedByItsName() {
    RemoteException remote =
        new RemoteException("org.example.SafeModeException", "Name node is in safe mode.");
    assertEquals(Errors.CLUSTER_UNAVAILABLE, Errors.type(remote));
  }

  @Test
  void theMessageHasNoStackTraceButKeepsLinesThatOnlyLookLikeOne() {
    String text =
        "Permission denied\n\tat org.apache.hadoop.Foo.bar(Foo.java:12)\n\tat java.base/java.lang.Thread.run(Thread.java:1)"
            + "\n at [row,col]: [1,2]";
    assertEquals("Permission denied\n at [row,col]: [1,2]", Errors.message(new IOException(text)));
  }

  @Test
  void aServersStackTraceIsCutToItsFirstLine() {
    String text =
        "java.lang.IllegalArgumentException: Tag x is too long\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:2)\n"
            + "Caused by: java.lang.IllegalArgumentException: Tag x is too long\n\tat a.B.d(B.java:3)\n\t... 16 more\n";
    assertEquals("Tag x is too long", Errors.message(new IOException(text)));
  }

  @Test
  void anErrorWithoutWordsIsCalledByItsName() {
    assertEquals("NullPointerException", Errors.message(new NullPointerException()));
    assertEquals(
        "IOException: no space",
        Errors.message(
            new IOException(null, new PrivilegedActionException(new Exception("no space")))));
  }

  @Test
  void theRootOfAFailedConnectionIsSaidInAFewWords() {
    assertEquals(
        "Connection refused",
        Errors.rootMessage(
            new IOException(
                "Call From a to b failed", new ConnectException("Connection refused"))));
    assertEquals(
        "unknown host nosuch",
        Errors.rootMessage(new IllegalArgumentException(new UnknownHostException("nosuch"))));
    assertEquals(
        "it answers, but not in Hadoop's protocol (EOFException); is the port right?",
        Errors.rootMessage(new IOException("x", new EOFException())));
    assertEquals(
        "it broke the connection off (Connection reset); is the port right?",
        Errors.rootMessage(new IOException("x", new SocketException("Connection reset"))));
  }
}
