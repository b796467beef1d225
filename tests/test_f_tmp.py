import threading, time, pytest
from django.db import connection
from lealife.lib.announce import Listener, open_connection
def test_l(transactional_db):
    l=Listener()
    def say():
        time.sleep(0.5)
        with connection.cursor() as c: c.execute("SELECT pg_notify('lealife','sources')")
        connection.close()
    t=threading.Thread(target=say); t.start()
    b=time.monotonic(); print(l.wait(timeout_s=3, wanted=frozenset({"sources"})), time.monotonic()-b); t.join(); l.close()
    print(open_connection().info.dbname)
