"""What the vehicles of a small city report: the records of `logs.py`.

`City.step` moves one vehicle and gives its records, `City.overdue` what was to come of its incidents until then: as (log
time, topic, key, value), with a value as `writing.Log.append` takes it. Times are microseconds.
"""

import datetime
import heapq
import math

import nasty

TOPICS = ["vehicle", "gps", "traffic", "weather", "emergency"]
WEIGHTS = [14, 46, 17, 11, 12]
CENTRE = (52.024327, -0.884745)  # where three cells of resolution 5 meet
HALF = (0.017, 0.027)  # degrees from there to the edge: some 35 cells of resolution 8
CELL_CENTRE = (52.0227, -0.8807)  # well within one cell
CELL_HALF = (0.001, 0.0015)
VEHICLES = 14
MINUTE, HOUR = 60_000_000, 3_600_000_000
WORDS = ["North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West"]
# How far two times are apart where it decides something.
EDGES = [0, 3_000_000, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, 6 * HOUR, -15 * MINUTE, 60 * MINUTE, 24 * HOUR]


class City:
    def __init__(self, rng, scenario, start_us):
        self.rng, self.scenario = rng, scenario
        self.centre, self.half = (CELL_CENTRE, CELL_HALF) if scenario.one_cell else (CENTRE, HALF)
        self.vehicles = [Vehicle(f"vehicle-{n:05}", self.anywhere(), rng) for n in range(VEHICLES)]
        self.due = []  # statuses to come: (log time, number, record)
        self.last_event = 0
        self.seen = []  # times and places of late: what a ping may be put exactly a window after
        self.made = 0
        self.raining = False

    def step(self, now_us, event_us):
        """The records that one vehicle sends, all of one time and place."""
        rng = self.rng
        vehicle = rng.choice(self.vehicles)
        vehicle.drive(rng, self.centre, self.half)
        if vehicle.number < self.scenario.future_devices:
            event_us += 12 * HOUR
        if rng.random() < 0.5:
            event_us += -event_us % 1_000_000  # so that times are equal
        if self.scenario.edges and rng.random() < 0.1:
            event_us += -event_us % (5 * MINUTE)
        if self.scenario.in_order:
            event_us = self.last_event = max(self.last_event, event_us)
        topics = sorted(set(rng.choices(TOPICS, WEIGHTS, k=rng.choice([1, 1, 2, 3]))), key=TOPICS.index)
        return [self.sent(now_us, topic, record) for topic in topics
                for record in getattr(self, topic)(vehicle, now_us, event_us)]

    def overdue(self, now_us):
        """The statuses that reach the log before now."""
        while self.due and self.due[0][0] < now_us:
            due_us, _, record = heapq.heappop(self.due)
            yield self.sent(due_us, "emergency", record)

    def sent(self, now_us, topic, record):
        """A record with its log time and key, and with what may be wrong with it."""
        key = self.rng.choice([record["deviceId"]] * 9 + [None])
        if self.rng.random() < self.scenario.nasty:
            record = nasty.spoilt(self.rng, topic, record)
        return now_us, topic, key, record

    def record(self, vehicle, event_us, **fields):
        self.made += 1
        record = {"id": f"{self.made:08x}-{self.rng.getrandbits(32):08x}", "deviceId": vehicle.name, "timestamp": iso(event_us)}
        source = self.rng.choice(["live", "live", "cached", "synthetic", None])
        return record | ({"source": source} if source else {}) | fields

    def gps(self, vehicle, _, event_us):
        rng = self.rng
        at, speed = vehicle.at, vehicle.speed
        if not self.scenario.edges:
            return [self.ping(vehicle, event_us, at, speed)]
        if self.seen and rng.random() < 0.06:
            then, at = rng.choice(self.seen)
            event_us = bounded(then + rng.choice(EDGES) + rng.choice([-1, 0, 0, 1]), event_us)
        pings = [self.ping(vehicle, event_us, at, speed)]
        if rng.random() < 0.05:  # a sharp turn of speed, often exactly at the limit
            seconds = rng.choice([1, 2, 3, 3.000001])
            change = rng.choice([10.8, -12.6, 10.799999, -12.599999, 12, -14]) * seconds
            pings.append(self.ping(vehicle, event_us + round(seconds * 1e6), at, round(max(0, speed + change), 6)))
        return pings

    def ping(self, vehicle, event_us, at, speed):
        record = self.record(vehicle, event_us, direction=self.rng.choice(WORDS), vehicleType="private",
                             coordinates=f"{at[0]:.6f},{at[1]:.6f}")
        return self.lacking(record | {"speed": speed}, "speed", "direction")

    def vehicle(self, vehicle, _, event_us):
        record = self.record(vehicle, event_us, location=place(vehicle.at), speed=vehicle.speed, make="Make", year=2020,
                             fuelType="Petrol", fuelLevel=round(vehicle.fuel, 3), odometer=round(vehicle.odometer, 3))
        yield self.lacking(record, "fuelLevel", "odometer")

    def traffic(self, vehicle, _, event_us):
        rng, at = self.rng, self.near(vehicle.at, 300)
        self.remember(event_us, at)
        free = rng.choice([50.0, 60, 96.5, round(rng.uniform(20, 110), 2)])
        now = rng.choice([0.9 * free, round(free * rng.uniform(0, 1.1), 2), 0])
        record = self.record(vehicle, event_us, cameraId="CAM-1", location=place(at), currentSpeed=now, freeFlowSpeed=free,
                             trafficLevel=rng.choice(["LIGHT", "MODERATE", "HEAVY"]), roadClosure=rng.random() < 0.1)
        yield self.lacking(record, "currentSpeed", "freeFlowSpeed", "trafficLevel", "roadClosure")

    def weather(self, vehicle, _, event_us):
        rng, at = self.rng, self.near(vehicle.at, 1000)
        self.remember(event_us, at)
        self.raining ^= rng.random() < 0.1
        condition = rng.choice(["Rain", "Drizzle", "Thunderstorm"] if self.raining else ["Clear", "Clouds", "Mist", "Snow"])
        wet = self.raining and rng.random() < 0.7 or rng.random() < 0.05
        record = self.record(vehicle, event_us, location=place(at), temperature=round(rng.uniform(-9, 30), 2),
                             weatherCondition=condition, precipitation=round(rng.uniform(0, 6), 2) if wet else 0,
                             windSpeed=round(rng.uniform(0, 20), 2), humidity=rng.randrange(101),
                             airQualityIndex=round(rng.uniform(0, 300), 1), pressure=round(rng.uniform(960, 1040), 1),
                             visibility=rng.choice([10000, rng.randrange(10001)]))
        yield self.lacking(record, "temperature", "weatherCondition", "precipitation", "humidity", "airQualityIndex")

    def emergency(self, vehicle, now_us, event_us):
        """Now and then a new incident, whose further statuses are then due; else nothing to report."""
        rng, unruly = self.rng, self.scenario.unruly_incidents
        if rng.random() < 0.7 or len(self.due) > 100:
            yield self.record(vehicle, event_us, location=place(vehicle.at), hasIncident=False, type="None", status="None",
                              description="No incidents reported")
            return
        at = self.near(vehicle.at, 800)
        self.remember(event_us, at)
        name = None if unruly and rng.random() < 0.1 else f"incident-{self.made}"
        lead = event_us - now_us
        yield self.status(vehicle, name, event_us, at, "Responding" if unruly and rng.random() < 0.1 else "Active")
        after = 0
        for status in ["Responding", "Resolved"]:
            after += rng.choice([0, rng.randrange(20 * MINUTE), rng.randrange(90 * MINUTE)])
            if unruly and rng.random() < 0.25:
                continue
            then = after - rng.randrange(9 * MINUTE) if unruly and rng.random() < 0.3 else after
            moved = self.near(at, 400) if unruly else at
            self.announce(now_us + after, self.status(vehicle, name, now_us + then + lead, moved, status))
        while unruly and rng.random() < 0.4:  # heard of again: in this life, or in another one
            after += rng.choice([rng.randrange(5 * HOUR), 24 * HOUR - after, 24 * HOUR, rng.randrange(60 * HOUR)])
            status = rng.choice(["Active", "Active", "Responding", "Resolved", "None", None])
            self.announce(now_us + after, self.status(vehicle, name, now_us + after + lead, at, status))

    def status(self, vehicle, incident, event_us, at, status):
        rng = self.rng
        record = self.record(vehicle, event_us, location=place(at), hasIncident=True, incidentId=incident, status=status,
                             type=rng.choice(["Accident", "Medical", "Fire", "Police", "None"]), description="",
                             severity=rng.choice(["Low", "Medium", "High", None]))
        return {name: value for name, value in record.items() if value is not None or rng.random() < 0.5}

    def announce(self, log_us, record):
        heapq.heappush(self.due, (log_us, self.made, record))

    def lacking(self, record, *optional):
        """The record, now and then without one of its optional fields, or with a null there."""
        if self.rng.random() < 0.08:
            name = self.rng.choice(optional)
            record = {k: v for k, v in record.items() if k != name} | self.rng.choice([{}, {name: None}])
        return record

    def remember(self, event_us, at):
        self.seen = [*self.seen[-20:], (event_us, at)]

    def anywhere(self):
        return tuple(c + self.rng.uniform(-h, h) for c, h in zip(self.centre, self.half))

    def near(self, at, metres):
        """A place so far off at most, or exactly there."""
        far = self.rng.choice([0, metres / 111_000])
        moved = (at[0] + self.rng.uniform(-far, far), at[1] + self.rng.uniform(-far, far))
        return tuple(max(c - h, min(c + h, x)) for x, c, h in zip(moved, self.centre, self.half))


class Vehicle:
    """Where a vehicle is, and how it is."""

    def __init__(self, name, at, rng):
        self.name, self.number, self.at = name, int(name[-5:]), at
        self.heading, self.speed, self.fuel, self.odometer = rng.uniform(0, 2 * math.pi), 30.0, 90.0, rng.uniform(0, 9e4)

    def drive(self, rng, centre, half):
        self.speed = rng.choice([0, 0.4, 1, 5, 4.99, round(rng.uniform(0, 90), 2), round(rng.uniform(20, 60), 2), 30.5])
        self.heading += rng.uniform(-0.5, 0.5)
        metres = rng.choice([0, 40, 200, 700])
        self.at = (self.at[0] + metres * math.cos(self.heading) / 111_000, self.at[1] + metres * math.sin(self.heading) / 68_000)
        if any(abs(x - c) > h for x, c, h in zip(self.at, centre, half)):
            self.at = tuple(max(c - h, min(c + h, x)) for x, c, h in zip(self.at, centre, half))
            self.heading += math.pi
        self.fuel = rng.uniform(50, 100) if self.fuel < 10 else self.fuel - rng.uniform(-0.1, 0.6)
        self.odometer += rng.choice([0, 0.3, 1.2, -0.1])


def bounded(event_us, about_us):
    """The time if it is less than 10 min before and 20 h after `about_us`: neither late nor too far ahead."""
    return event_us if -9 * MINUTE < event_us - about_us < 20 * HOUR else about_us


def place(at):
    return f"({at[0]:.6f}, {at[1]:.6f})"


def micros(text):
    """The microseconds since 1970 of a naive time in UTC."""
    return (datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


def iso(us):
    """A naive time in UTC."""
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)).isoformat()
