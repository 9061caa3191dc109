import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.concurrent.locks.LockSupport;

/** Runs a snippet only when JShell already waits for it. JShell joins every thread it sees once
 *  the snippet's has started: one that the snippet starts early would hold the cell to its end. */
public final class CellGate {
    private static final long STEP_NANOS = 20_000, MOST_STEPS = 5_000;
    private static volatile Method snippet;
    private static volatile Thread joining;

    private CellGate() {
    }

    /** The method to invoke instead of `next`, from this thread. */
    static Method before(Method next) throws NoSuchMethodException {
        snippet = next;
        joining = Thread.currentThread();
        return CellGate.class.getMethod("pass");
    }

    /** Called by JShell in the snippet's thread. */
    public static Object pass() throws Throwable {
        Method next = snippet;
        for (int i = 0; i < MOST_STEPS && joining.getState() != Thread.State.WAITING; i++) {
            LockSupport.parkNanos(STEP_NANOS);
        }
        try {
            return next.invoke(null);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }
}
