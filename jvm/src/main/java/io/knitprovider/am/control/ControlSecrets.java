package io.knitprovider.am.control;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.function.Function;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** What the application was given to be talked to: two secrets, a key and its certificate. */
public final class ControlSecrets {

  /** Who a caller is, by the secret that it shows. */
  enum Role {
    OWNER,
    /** A container of the application: it may look, report progress and use the store. */
    WORKER,
    STRANGER
  }

  public static final String CONTROL = "knit.control.secret";
  public static final String WORKER = "knit.worker.secret";
  public static final String KEY = "knit.key";
  public static final String CERTIFICATE = "knit.certificate";

  private final byte[] control;
  private final byte[] worker;
  private final byte[] key;
  private final byte[] certificate;

  private ControlSecrets(byte[] control, byte[] worker, byte[] key, byte[] certificate) {
    this.control = control;
    this.worker = worker;
    this.key = key;
    this.certificate = certificate;
  }

  /**
   * Takes the secrets out of the credentials.
   *
   * @return null where one that the control channel cannot do without is missing
   */
  public static ControlSecrets from(Function<String, byte[]> credentials) {
    byte[] control = credentials.apply(CONTROL);
    byte[] key = credentials.apply(KEY);
    byte[] certificate = credentials.apply(CERTIFICATE);
    if (isEmpty(control) || isEmpty(key) || isEmpty(certificate)) {
      return null;
    }
    return new ControlSecrets(control, credentials.apply(WORKER), key, certificate);
  }

  /** In constant time, whatever is shown. */
  Role role(byte[] shown) {
    boolean owner = MessageDigest.isEqual(control, shown);
    boolean isWorker = MessageDigest.isEqual(isEmpty(worker) ? control : worker, shown);
    return owner ? Role.OWNER : isWorker ? Role.WORKER : Role.STRANGER;
  }

  /** A TLS context with our certificate. Nothing of it ever touches a disk. */
  SSLContext tls() throws GeneralSecurityException, IOException {
    X509Certificate x509 =
        (X509Certificate)
            CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(certificate));
    PrivateKey privateKey =
        KeyFactory.getInstance(x509.getPublicKey().getAlgorithm())
            .generatePrivate(new PKCS8EncodedKeySpec(key));
    char[] password = "in memory only".toCharArray();
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, password);
    store.setKeyEntry("knit", privateKey, password, new X509Certificate[] {x509});
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(store, password);
    Arrays.fill(password, ' ');
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), null, null);
    return context;
  }

  private static boolean isEmpty(byte[] bytes) {
    return bytes == null || bytes.length == 0;
  }
}
