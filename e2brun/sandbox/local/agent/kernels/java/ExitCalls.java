import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Makes a class call CellExit.exit where its source says System.exit. */
final class ExitCalls {
    private static final int UTF8 = 1, LONG = 5, DOUBLE = 6, CLASS = 7, METHOD = 10, NAMED = 12;
    // Bytes of each kind of constant without its tag (JVM specification, 4.4).
    private static final int[] SIZES =
        {0, 0, 0, 4, 4, 8, 8, 2, 2, 4, 4, 4, 4, 0, 0, 3, 2, 4, 4, 2, 2};
    private static final int COUNT_AT = 8; // after magic number and version

    static byte[] redirected(byte[] code) {
        ByteBuffer in = ByteBuffer.wrap(code);
        int count = in.getShort(COUNT_AT) & 0xFFFF;
        int[] at = new int[count];
        int end = COUNT_AT + 2;
        for (int i = 1; i < count; i++) {
            at[i] = end;
            int tag = code[end];
            end += 1 + (tag == UTF8 ? 2 + (in.getShort(end + 1) & 0xFFFF) : SIZES[tag]);
            if (tag == LONG || tag == DOUBLE) i++; // they count twice
        }
        boolean found = false;
        for (int i = 1; i < count; i++) {
            if (at[i] == 0 || code[at[i]] != METHOD || !isExit(in, at, at[i])) continue;
            in.putShort(at[i] + 1, (short) (count + 1)); // the class to be added below
            found = true;
        }
        return found && count < 0xFFF0 ? withOurClass(code, count, end) : code;
    }

    private static boolean isExit(ByteBuffer in, int[] at, int method) {
        int type = at[in.getShort(method + 1) & 0xFFFF];
        int named = at[in.getShort(method + 3) & 0xFFFF];
        return in.get(type) == CLASS && in.get(named) == NAMED
            && text(in, at[in.getShort(type + 1) & 0xFFFF]).equals("java/lang/System")
            && text(in, at[in.getShort(named + 1) & 0xFFFF]).equals("exit");
    }

    private static String text(ByteBuffer in, int at) {
        int length = in.getShort(at + 1) & 0xFFFF;
        return new String(in.array(), at + 3, length, StandardCharsets.UTF_8);
    }

    private static byte[] withOurClass(byte[] code, int count, int end) {
        byte[] name = CellExit.class.getName().getBytes(StandardCharsets.UTF_8);
        ByteBuffer out = ByteBuffer.allocate(code.length + name.length + 6);
        out.put(code, 0, end);
        out.put((byte) UTF8).putShort((short) name.length).put(name);
        out.put((byte) CLASS).putShort((short) count);
        out.put(code, end, code.length - end);
        out.putShort(COUNT_AT, (short) (count + 2));
        return out.array();
    }
}
