//! A value for each topic.

use std::ops::{Index, IndexMut};

use crate::topic::{self, Topic};

/// A value for each topic, by topic. Making one ends the time in which topics can be declared, so that none is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerTopic<T>(Vec<T>);

impl<T> PerTopic<T> {
    /// The value of each topic.
    pub fn new(of: impl FnMut(Topic) -> T) -> PerTopic<T> {
        PerTopic(topic::all_for_good().map(of).collect())
    }

    /// The value of each topic.
    ///
    /// # Errors
    /// The first.
    pub fn try_new<E>(of: impl FnMut(Topic) -> Result<T, E>) -> Result<PerTopic<T>, E> {
        topic::all_for_good().map(of).collect::<Result<_, E>>().map(PerTopic)
    }

    /// The topics with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Topic, &T)> {
        Topic::all().zip(&self.0)
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Topic, &mut T)> {
        Topic::all().zip(&mut self.0)
    }

    /// The values, in the order of the topics.
    pub fn values(&self) -> &[T] {
        &self.0
    }

    /// The topic whose value is this one.
    pub fn find<V: ?Sized>(&self, value: &V) -> Option<Topic>
    where
        T: PartialEq<V>,
    {
        self.iter().find(|(_, found)| *found == value).map(|(topic, _)| topic)
    }
}

impl<T: Default> Default for PerTopic<T> {
    fn default() -> Self {
        PerTopic::new(|_| T::default())
    }
}

impl<T> Index<Topic> for PerTopic<T> {
    type Output = T;

    fn index(&self, topic: Topic) -> &T {
        &self.0[topic.index()]
    }
}

impl<T> IndexMut<Topic> for PerTopic<T> {
    fn index_mut(&mut self, topic: Topic) -> &mut T {
        &mut self.0[topic.index()]
    }
}
