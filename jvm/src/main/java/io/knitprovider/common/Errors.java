package io.knitprovider.common;

import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.UndeclaredThrowableException;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.security.PrivilegedActionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.ipc.RemoteException;
import org.apache.hadoop.security.AccessControlException;
import org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException;

/** Sorts whatever Hadoop throws into the few kinds that a caller can act upon. */
public final class Errors {

  public static final String PERMISSION_DENIED = "PermissionDenied";
  public static final String AUTHENTICATION_FAILED = "AuthenticationFailed";
  public static final String CLUSTER_UNAVAILABLE = "ClusterUnavailable";
  public static final String SUBMISSION_REJECTED = "SubmissionRejected";
  public static final String APPLICATION_NOT_FOUND = "ApplicationNotFound";
  public static final String FILE_NOT_FOUND = "FileNotFound";
  public static final String FILE_EXISTS = "FileExists";
  public static final String DEADLINE = "Deadline";
  public static final String INVALID_INPUT = "InvalidInput";
  public static final String INTERNAL = "Internal";

  private static final Pattern STACK_FRAME =
      Pattern.compile("\\s*at [\\w.$/<>@]+\\(.*\\)\\s*|\\s*\\.\\.\\. \\d+ more");
  private static final Pattern EXCEPTION_NAME =
      Pattern.compile("^(?:[\\w$]+\\.)+\\w*(?:Exception|Error): ");

  private Errors() {}

  /**
   * The innermost error that says something: without wrappers, and a remote one as the class it had
   * there.
   */
  public static Throwable unwrap(Throwable error) {
    Throwable current = error;
    while (true) {
      if (current instanceof RemoteException) {
        IOException remote = ((RemoteException) current).unwrapRemoteException();
        if (remote instanceof RemoteException) {
          return remote;
        }
        current = remote;
      } else if (isWrapper(current) && current.getCause() != null) {
        current = current.getCause();
      } else {
        return current;
      }
    }
  }

  private static boolean isWrapper(Throwable error) {
    return error instanceof UndeclaredThrowableException
        || error instanceof InvocationTargetException
        || error instanceof PrivilegedActionException
        || error instanceof ExecutionException
        || (error.getClass() == RuntimeException.class && error.getCause() instanceof IOException);
  }

  /** One of the constants of this class. */
  public static String type(Throwable error) {
    Throwable actual = unwrap(error);
    if (actual instanceof InvalidInput) {
      return INVALID_INPUT;
    }
    if (actual instanceof TimeoutException) {
      return DEADLINE;
    }
    if (actual instanceof ApplicationNotFoundException) {
      return APPLICATION_NOT_FOUND;
    }
    if (actual instanceof AccessControlException
        || actual instanceof java.security.AccessControlException
        || isNamed(actual, "AuthorizationException")
        || hasCause(actual, AccessControlException.class)) {
      return isAuthentication(actual) ? AUTHENTICATION_FAILED : PERMISSION_DENIED;
    }
    if (isAuthentication(actual)) {
      return AUTHENTICATION_FAILED;
    }
    if (actual instanceof FileNotFoundException || isNamed(actual, "PathIsNotDirectoryException")) {
      return FILE_NOT_FOUND;
    }
    if (actual instanceof FileAlreadyExistsException
        || isNamed(actual, "FileAlreadyExistsException")
        || isNamed(actual, "PathIsNotEmptyDirectoryException")) {
      return FILE_EXISTS;
    }
    if (isNamed(actual, "QuotaExceededException")) {
      return INVALID_INPUT;
    }
    if (isUnavailable(actual)) {
      return CLUSTER_UNAVAILABLE;
    }
    if (isNamed(actual, "SubmissionRejected")) {
      return SUBMISSION_REJECTED;
    }
    return INTERNAL;
  }

  /**
   * The error's own words on one level, without the Java stack that the RM and the NN paste into
   * them.
   */
  public static String message(Throwable error) {
    Throwable actual = unwrap(error);
    String text = actual.getMessage();
    if (text == null || text.trim().isEmpty()) {
      text = actual.getClass().getSimpleName();
      if (actual.getCause() != null && actual.getCause() != actual) {
        text += ": " + message(actual.getCause());
      }
    }
    StringBuilder words = new StringBuilder();
    for (String line : text.split("\n")) {
      if (line.startsWith("Caused by: ")) {
        // What follows repeats the first line, wrapped.
        break;
      }
      if (!STACK_FRAME.matcher(line).matches() && !line.trim().isEmpty()) {
        words.append(words.length() == 0 ? "" : "\n").append(line);
      }
    }
    return EXCEPTION_NAME.matcher(words).replaceFirst("");
  }

  /** What was at the bottom of a failed connection, in a few words. */
  public static String rootMessage(Throwable error) {
    Throwable root = unwrap(error);
    for (int depth = 0; root.getCause() != null && depth < 20; depth++) {
      root = root.getCause();
    }
    if (root instanceof UnknownHostException) {
      String host = root.getMessage();
      return host == null || host.contains(" ") ? "unknown host" : "unknown host " + host;
    }
    if (root instanceof EOFException || isNamed(root, "RpcException")) {
      return "it answers, but not in Hadoop's protocol (" + message(root) + "); is the port right?";
    }
    if (root.getClass() == SocketException.class) {
      // Which of EOF, "Connection reset" and "Broken pipe" is seen depends on who is quicker, when
      // a
      // server that speaks another protocol hangs up on bytes it has not read.
      return "it broke the connection off (" + message(root) + "); is the port right?";
    }
    return message(root);
  }

  /** Whether the cause, at any depth, is of this class. */
  public static boolean hasCause(Throwable error, Class<? extends Throwable> wanted) {
    Throwable current = error;
    for (int depth = 0; current != null && depth < 20; depth++) {
      if (wanted.isInstance(current)) {
        return true;
      }
      current = current.getCause();
    }
    return false;
  }

  /**
   * By simple name and through superclasses: several of these classes differ between Hadoop's
   * versions and parts.
   */
  private static boolean isNamed(Throwable error, String simpleName) {
    for (Class<?> type = error.getClass(); type != null; type = type.getSuperclass()) {
      if (type.getSimpleName().equals(simpleName)) {
        return true;
      }
    }
    return error instanceof RemoteException
        && ((RemoteException) error).getClassName() != null
        && ((RemoteException) error).getClassName().endsWith("." + simpleName);
  }

  private static boolean isAuthentication(Throwable error) {
    String message = String.valueOf(error.getMessage());
    return isNamed(error, "KerberosAuthException")
        || isNamed(error, "AuthenticationException")
        || isNamed(error, "SecretManager$InvalidToken")
        || isNamed(error, "InvalidToken")
        || isNamed(error, "LoginException")
        || hasCause(error, javax.security.sasl.SaslException.class)
        || hasCause(error, javax.security.auth.login.LoginException.class)
        || message.contains("Client cannot authenticate via:")
        || message.contains("SIMPLE authentication is not enabled")
        || message.contains("Server asks us to fall back to SIMPLE auth");
  }

  private static boolean isUnavailable(Throwable error) {
    String message = String.valueOf(error.getMessage());
    return error instanceof ConnectException
        || error instanceof UnknownHostException
        || error instanceof NoRouteToHostException
        || error instanceof SocketTimeoutException
        || error instanceof SocketException
        || error instanceof EOFException
        || error instanceof java.nio.channels.ClosedChannelException
        || isNamed(error, "ConnectTimeoutException")
        || isNamed(error, "RpcException")
        || isNamed(error, "StandbyException")
        || isNamed(error, "SafeModeException")
        || isNamed(error, "RetriableException")
        || hasCause(error, ConnectException.class)
        || hasCause(error, UnknownHostException.class)
        || hasCause(error, SocketException.class)
        || hasCause(error, EOFException.class)
        || message.contains("Failed on local exception")
        || message.contains("is in safe mode")
        || message.contains("RPC response");
  }
}
