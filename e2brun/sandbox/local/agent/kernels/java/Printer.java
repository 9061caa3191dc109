import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Writes at once what is printed: the text and the end of its line apart, as E2B's Java does,
 *  as long as there is not too much of it. */
final class Printer extends PrintStream {
    Printer(FileDescriptor apart, FileDescriptor joined) {
        super(new Paced(apart, joined), true, StandardCharsets.UTF_8);
    }

    /** To a pipe of packets, where one write is one piece; or to the same pipe as others do. */
    private static final class Paced extends OutputStream {
        private static final int MOST_PIECES = 64; // in a row, as the pipe has room for so many
        private static final long PAUSE_NANOS = 200_000_000L;
        private final OutputStream apart;
        private final OutputStream joined;
        private long last;
        private int pieces;

        Paced(FileDescriptor apart, FileDescriptor joined) {
            this.apart = new FileOutputStream(apart);
            this.joined = new FileOutputStream(joined);
        }

        @Override
        public void write(int letter) throws IOException {
            write(new byte[] {(byte) letter}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] data, int from, int count) throws IOException {
            long now = System.nanoTime();
            if (now - last > PAUSE_NANOS) pieces = 0;
            last = now;
            (pieces++ < MOST_PIECES ? apart : joined).write(data, from, count);
        }
    }
}
